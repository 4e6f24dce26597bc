//! Why a benchmark could not be made, or is worth nothing.

use std::{path::PathBuf, time::Duration};

use thiserror::Error;

/// What keeps a benchmark from its end.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The binary to measure was never built.
    #[error("there is no {}: run `./dev bench`, or `cargo build --release -p api --bin boxoffice`", .0.display())]
    NoBinary(PathBuf),
    /// A file or process of ours could not be had.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The product ended, or never said that it is ready.
    #[error("boxoffice did not get ready; its last words:\n{0}")]
    NotReady(String),
    /// A file of the product does not hold what it should.
    #[error("{0} is missing, in the product's `env` or in the environment")]
    NoSetting(&'static str),
    /// The connection broke.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// An answer that nothing can be measured with.
    #[error("{what}: {status} {body}")]
    Answer {
        /// What was asked.
        what: String,
        /// What came.
        status: u16,
        /// With what.
        body: String,
    },
    /// The database could not be used.
    #[error("Postgres: {0}")]
    Database(#[from] sqlx::Error),
    /// A server of ours could not be had.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The mirror could not be asked.
    #[error("JetStream: {0}")]
    Mirror(String),
    /// A command of the product failed.
    #[error("`boxoffice {what}` {how}:\n{said}")]
    Command {
        /// Its arguments.
        what: String,
        /// How it ended.
        how: String,
        /// Its last words.
        said: String,
    },
    /// A picture could not be drawn.
    #[error("drawing {what}: {why}")]
    Plot {
        /// Which.
        what: String,
        /// Why not.
        why: String,
    },
    /// A condition never came to hold.
    #[error("waited {max:?} for {what}; it stands at {state}")]
    Waited {
        /// For what.
        what: &'static str,
        /// How long.
        max: Duration,
        /// How far it came.
        state: String,
    },
    /// The log of the product lacks what its answer promised.
    #[error("the log holds no {0} of the sample booking")]
    NoSample(&'static str),
    /// A task of the load panicked.
    #[error("a part of the load ended early: {0}")]
    Load(#[from] tokio::task::JoinError),
}

/// Names what was tried.
pub(crate) trait Doing<T> {
    /// The error, with what was being done.
    fn doing(self, what: impl Into<String>) -> Result<T, Error>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing: what.into(), source })
    }
}
