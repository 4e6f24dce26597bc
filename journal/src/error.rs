//! What can go wrong in the journal. Every error says whether the same call may succeed later.

use std::sync::Arc;

use aggregates::DecodeError;
use thiserror::Error;

/// Why an append did not happen, or may not have.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// Another writer appended to the same aggregate first.
    #[error("another writer was first: {0}")]
    Conflict(String),
    /// It was built on an append that failed.
    #[error("it was built on an append that failed")]
    Dependency,
    /// A checkpoint it carries was moved by somebody else: a second saga, or an earlier life of this one.
    #[error("a checkpoint was moved by somebody else")]
    CheckpointMoved,
    /// Rows that had to be committed with it violate a constraint, named here.
    #[error("constraint {constraint:?} does not allow it")]
    Constraint {
        /// Its name in the schema.
        constraint: String,
    },
    /// The queue was full for [`crate::writer::QUEUE_WAIT_MAX`].
    #[error("the journal is overloaded, try again a little later")]
    Overloaded,
    /// Postgres could not be reached; nothing was written.
    #[error("the journal cannot reach Postgres: {0}")]
    Unavailable(Arc<sqlx::Error>),
    /// The connection died in the commit and Postgres did not come back in time to tell what became of it.
    #[error("the outcome is not known: {0}")]
    Unknown(Arc<sqlx::Error>),
    /// Postgres refused for a reason of its own.
    #[error("Postgres refused: {0}")]
    Database(Arc<sqlx::Error>),
    /// More events in one unit of work than [`crate::append::UNIT_EVENTS_MAX`].
    #[error("a unit of work has at most {max} events, not {0}", max = crate::append::UNIT_EVENTS_MAX)]
    TooLarge(usize),
    /// The journal is shutting down.
    #[error("the journal is closed")]
    Closed,
}

impl AppendError {
    /// Whether to reload and decide again: the decision was made on a state that is not the last.
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Dependency)
    }

    /// Whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Conflict(_)
            | Self::Dependency
            | Self::Overloaded
            | Self::Unavailable(_)
            | Self::Unknown(_)
            | Self::Closed => true,
            Self::CheckpointMoved | Self::Constraint { .. } | Self::Database(_) | Self::TooLarge(_) => false,
        }
    }
}

/// Why something could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Postgres did not answer.
    #[error("the journal cannot be read: {0}")]
    Database(#[from] sqlx::Error),
    /// The read side of postgres-es did not answer.
    #[error("the journal cannot be read: {0}")]
    Repository(#[from] cqrs_es::persist::PersistenceError),
    /// What is stored is not what today's code reads.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A position that must exist does not: rows were removed.
    #[error("position {0} is missing from the journal")]
    Missing(crate::Position),
    /// The mirror, where it alone is to be read, does not hand out the log.
    #[error("the mirror cannot be read: {0}")]
    Mirror(String),
}

/// Why a command had no effect.
#[derive(Debug, Error)]
pub enum ExecuteError<E: std::error::Error> {
    /// The aggregate refused it.
    #[error(transparent)]
    Refused(E),
    /// Its events could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The aggregate could not be loaded.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// An error with its causes, those that it does not repeat itself.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
