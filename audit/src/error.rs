//! Why an audit could not look. What it finds is no error: that is its result.

use aggregates::{AggregateType, DecodeError};
use chrono::{DateTime, Utc};
use journal::Position;
use thiserror::Error;
use uuid::Uuid;

/// Why something cannot be told.
#[derive(Debug, Error)]
pub enum Error {
    /// Postgres cannot be reached.
    #[error("Postgres (DATABASE_URL) cannot be reached: {0}")]
    Connect(#[source] sqlx::Error),
    /// Postgres did not answer, or not as it should.
    #[error("the log cannot be read: {0}")]
    Postgres(#[from] sqlx::Error),
    /// Another database, or one that no process was started on yet.
    #[error("the database holds no log of Boxoffice; the first process that is started on it makes one")]
    NoLog,
    /// The row that orders all appends is gone.
    #[error("the row of journal_head is gone: nothing can be appended, and nobody knows where the log ends")]
    NoHead,
    /// A message of Postgres is not what its protocol says.
    #[error("the copy of the log cannot be read: {0}")]
    Copy(&'static str),
    /// There is no such aggregate.
    #[error("there is no {0} {1} in the log")]
    NoSuch(AggregateType, Uuid),
    /// It was not there yet.
    #[error("there was no {kind} {id} yet: it begins at position {position}, {recorded_at}")]
    NotYet {
        /// Kind of the aggregate.
        kind: AggregateType,
        /// Which one.
        id: Uuid,
        /// Where it begins.
        position: Position,
        /// When that was.
        recorded_at: DateTime<Utc>,
    },
    /// An event that today's code cannot read.
    #[error("the event at position {position} cannot be read: {source}")]
    Decode {
        /// Where it stands.
        position: Position,
        /// Why not.
        source: DecodeError,
    },
    /// A row that no version of ours has written.
    #[error("the row at position {0} is none of ours; `boxoffice audit verify` says what is wrong with it")]
    Row(Position),
    /// What a fold put aside cannot be kept or read.
    #[error("the temporary file of the audit cannot be used: {0}")]
    Spill(#[from] rusqlite::Error),
    /// A record that was put aside cannot be written or read.
    #[error("a record of the audit cannot be put aside: {0}")]
    Record(#[from] serde_json::Error),
    /// What is derived from the log cannot be read.
    #[error(transparent)]
    Projection(#[from] projections::Error),
    /// The mirror cannot be read.
    #[error("the mirror cannot be read: {0}")]
    Mirror(#[from] nats::ScanError),
    /// Standard output, or a file.
    #[error("writing: {0}")]
    Write(#[from] std::io::Error),
    /// A table for other programs.
    #[error("writing: {0}")]
    Csv(#[from] csv::Error),
    /// A picture.
    #[error("the picture cannot be drawn: {0}")]
    Plot(String),
    /// A thread of ours died; its panic was written to the log.
    #[error("a part of the audit ended early")]
    Ended,
}

impl Error {
    /// Whether it is not there, or was not then.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::NoSuch(..) | Self::NotYet { .. })
    }

    /// Whether whoever read the output has seen enough.
    pub fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Write(error) => error.kind() == std::io::ErrorKind::BrokenPipe,
            Self::Csv(error) => {
                matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
            }
            _ => false,
        }
    }
}
