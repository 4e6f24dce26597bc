use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a server could not be found, started or stopped, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Postgres on this machine.
    #[error(
        "no Postgres (14 or later) found: run `./dev tools` in the checkout, or install one \
         (Debian: `apt-get install postgresql`, macOS: `brew install postgresql@16`), \
         or set BOXOFFICE_POSTGRES_BIN to the directory with `postgres` and `initdb`"
    )]
    PostgresMissing,
    /// No nats-server on this machine.
    #[error(
        "no nats-server found: run `./dev tools` in the checkout, or install 2.12.7 or later \
         (macOS: `brew install nats-server`), or set BOXOFFICE_NATS_SERVER to the binary"
    )]
    NatsMissing,
    /// A binary that was named explicitly is not there.
    #[error("{variable} is set to {path}, but {missing} is not there: correct or unset it")]
    Override { variable: &'static str, path: PathBuf, missing: String },
    /// A binary too old to be relied on.
    #[error("{path} is version {found}, but {needed} or later is needed: upgrade it, or run `./dev tools`")]
    TooOld { path: PathBuf, found: String, needed: &'static str },
    /// A binary that does not tell its version in the way it should.
    #[error("{path} --version answered {answer:?}, which names no version: is it the right binary?")]
    NoVersion { path: PathBuf, answer: String },
    /// Another living process owns this directory.
    #[error("{0} is in use by another running boxoffice: stop that one, or choose another directory")]
    InUse(PathBuf),
    /// The data was written by another major version of Postgres.
    #[error(
        "{dir} was made by Postgres {has}, but {binaries} is another version: set BOXOFFICE_POSTGRES_BIN to a Postgres {has}, \
         or move the directory away to start afresh"
    )]
    OtherVersion { dir: PathBuf, has: String, binaries: String },
    /// As root, and no user to run Postgres as.
    #[error("Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody`: create one")]
    NoUser,
    /// As root, and the directory cannot be made reachable for the user that Postgres runs as.
    #[error(
        "{user} cannot reach {path}, and this process has no way to let it (`setpriv` of util-linux and CAP_DAC_OVERRIDE \
         are needed): choose a directory that {user} can reach"
    )]
    Unreachable { user: String, path: PathBuf },
    /// The given port belongs to somebody else, or every port tried was taken meanwhile.
    #[error("port {0} of 127.0.0.1 is taken by another process: stop that one, or choose another port")]
    PortTaken(u16),
    /// The server ended while it was being started.
    #[error("{what} ended while starting ({status}); the end of its log {log}:\n{tail}")]
    Died { what: &'static str, status: String, log: PathBuf, tail: String },
    /// A helper command of the server (initdb and the like) failed.
    #[error("{command} failed ({status}): {output}")]
    Command { command: String, status: String, output: String },
    /// A wait was given up.
    #[error("waited {waited:?} for {what}, in vain{detail}")]
    Deadline { what: String, waited: Duration, detail: String },
    /// Settings that cannot be written down for the server.
    #[error("{name} may not contain {value:?}")]
    Setting { name: &'static str, value: String },
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    /// The runtime shut down in the middle of a call.
    #[error("interrupted: the async runtime is shutting down")]
    Interrupted,
}

/// Adds to an [`io::Error`] what was being done, and to which path.
pub(crate) trait Doing<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, verb: &str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing: format!("{verb} {}", path.display()), source: source.into() })
    }
}
