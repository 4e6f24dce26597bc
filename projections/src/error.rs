//! What can go wrong between the log and what is read.

use std::path::PathBuf;

use aggregates::{AggregateType, DecodeError};
use journal::{Position, ReadError};
use thiserror::Error;
use uuid::Uuid;

/// Why a projection does not go on, or cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// Postgres did not answer, or not as it should.
    #[error("the projection's Postgres cannot be used: {0}")]
    Postgres(#[from] sqlx::Error),
    /// SQLite did not answer, or not as it should.
    #[error("the booking history's file cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The log did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The source handed out another event than the next; it is asked again.
    #[error("the log's source handed out position {got} where {expected} is next")]
    Gap {
        /// What is next.
        expected: Position,
        /// What came.
        got: Position,
    },
    /// A stored event that today's code cannot read.
    #[error("the event at position {position}, of {aggregate} {aggregate_id}, cannot be projected: {source}")]
    Undecodable {
        /// Where it stands.
        position: Position,
        /// Whose kind it is of.
        aggregate: AggregateType,
        /// Whose it is.
        aggregate_id: Uuid,
        /// Why not.
        source: DecodeError,
    },
    /// An event that cannot follow what stands before it in the log: the log was changed, or breaks an invariant.
    #[error("the event at position {position}, of {aggregate} {aggregate_id}, cannot be projected: {reason}")]
    Impossible {
        /// Where it stands.
        position: Position,
        /// Whose kind it is of.
        aggregate: AggregateType,
        /// Whose it is.
        aggregate_id: Uuid,
        /// What it breaks.
        reason: &'static str,
    },
    /// An event cannot be projected, and as many as may be are parked already.
    #[error(
        "the event at position {position}, of {aggregate} {aggregate_id}, cannot be projected: {reason}; {max} others are \
         parked already, so the projection stops here",
        max = crate::PARKED_MAX
    )]
    TooManyParked {
        /// Where it stands.
        position: Position,
        /// Whose kind it is of.
        aggregate: AggregateType,
        /// Whose it is.
        aggregate_id: Uuid,
        /// What is wrong with it.
        reason: String,
    },
    /// The projection knows more than the log: the database was restored, or the projection is another log's.
    #[error(
        "{name} has applied the log up to position {checkpoint}, but the log ends at {end}: the log was restored from a \
         backup, or {place} belongs to another one; delete {place} so that it is built again from the log"
    )]
    CheckpointAhead {
        /// Which projection.
        name: String,
        /// Where it stands.
        checkpoint: Position,
        /// Where the log ends.
        end: Position,
        /// Where it is kept.
        place: String,
    },
    /// The projection was made from another log.
    #[error(
        "{name} has applied a log up to position {checkpoint}, but the event at position {checkpoint} of this log (which \
         ends at {end}) is not the one it applied: the log was restored from a backup, or {place} belongs to another \
         one; delete {place} so that it is built again from the log"
    )]
    AnotherLog {
        /// Which projection.
        name: String,
        /// Where it stands.
        checkpoint: Position,
        /// Where the log ends.
        end: Position,
        /// Where it is kept.
        place: String,
    },
    /// An unusable file could not be moved out of the way.
    #[error("{path} cannot be used and could not be moved aside: {source}")]
    Aside {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that is none of ours, or of another version.
    #[error("{path} cannot be used: {reason}")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What a stored row holds is nothing we wrote.
    #[error("a stored row has an unreadable {column}: it was changed by hand; rebuild the projection")]
    Row {
        /// In which column.
        column: &'static str,
    },
    /// Somebody else rebuilds the same projection.
    #[error("{0} is being rebuilt by somebody else; see `boxoffice status`")]
    BeingRebuilt(String),
    /// The live copy could not be held back.
    #[error(
        "the new copy of {0} is complete, but the live one could not be locked to switch: others use it without a pause; \
         run it again, it goes on where it was"
    )]
    NoSwitch(&'static str),
    /// The right to rebuild was lost with the connection to Postgres that held it.
    #[error("the connection that kept others from rebuilding was lost; run it again: it goes on where it was")]
    LeaseLost,
    /// What the log hands out is not the gapless log.
    #[error("the log has {found} events after position {after} and up to {to}, not {}", to.0 - after.0)]
    Holes {
        /// Before the first.
        after: Position,
        /// The last.
        to: Position,
        /// How many there are.
        found: u64,
    },
    /// More concerts than a rebuild folds in memory.
    #[error("there are more than {max} concerts, more than a rebuild folds in memory", max = crate::rebuild::CONCERTS_MAX)]
    TooManyConcerts,
    /// A copy of the log came in a shape that is not ours.
    #[error("Postgres' copy of the log cannot be read: {0}")]
    Copy(&'static str),
    /// More concerts are watched than [`crate::ticket_counts::WATCHED_CONCERTS_MAX`].
    #[error("too many concerts are being watched, try again a little later")]
    TooManyWatched,
    /// The process is shutting down.
    #[error("the projection is closed")]
    Closed,
}

impl Error {
    /// Whether the same may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Postgres(error) | Self::Read(ReadError::Database(error)) => postgres_is_transient(error),
            Self::Sqlite(error) => sqlite_is_transient(error),
            Self::Read(ReadError::Repository(_)) | Self::Gap { .. } | Self::TooManyWatched => true,
            Self::Read(ReadError::Decode(_) | ReadError::Missing(_) | ReadError::Mirror(_))
            | Self::TooManyParked { .. }
            | Self::BeingRebuilt(_)
            | Self::NoSwitch(_)
            | Self::LeaseLost
            | Self::Holes { .. }
            | Self::TooManyConcerts
            | Self::Copy(_)
            | Self::Undecodable { .. }
            | Self::Impossible { .. }
            | Self::CheckpointAhead { .. }
            | Self::AnotherLog { .. }
            | Self::Aside { .. }
            | Self::Unusable { .. }
            | Self::Row { .. }
            | Self::Closed => false,
        }
    }
}

fn postgres_is_transient(error: &sqlx::Error) -> bool {
    match error {
        // By class: connection, rollback (deadlock), resources, locks, the operator (shutdown), the system.
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| {
            matches!(code.get(..2).unwrap_or_default(), "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX")
        }),
        // No row: two processes created the same checkpoint at once, and one of them saw neither.
        sqlx::Error::RowNotFound
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

fn sqlite_is_transient(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | DiskFull | OutOfMemory | SystemIoFailure))
}
