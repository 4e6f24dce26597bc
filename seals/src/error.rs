//! What can go wrong with seals.

use journal::{Position, ReadError};
use thiserror::Error;

use crate::{Hash, NoteError, TileId};

/// Why something could not be sealed, read or checked.
#[derive(Debug, Error)]
pub enum SealError {
    /// Postgres did not answer.
    #[error("the seals cannot be read or written: {0}")]
    Database(#[from] sqlx::Error),
    /// The log could not be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// Another sealer was first. What that one signed is as good.
    #[error("another sealer was first")]
    Raced,
    /// The private keys cannot be used.
    #[error("the keys in {file} cannot be used: {detail}; put the file right, or move it away to have a new key made")]
    KeyFile {
        /// Where they are.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// The private key belongs to the log of another database.
    #[error(
        "the key in {file} is of the log {found}, and this database holds the log {expected}; put its own key there, or \
         move the file away to have a new one made"
    )]
    ForeignKey {
        /// Where it is.
        file: String,
        /// The key's log.
        found: String,
        /// The database's.
        expected: String,
    },
    /// There are no tables of seals: no process with a sealer was ever started on this database.
    #[error("this database holds no seals; the first process that is started on it makes them")]
    NoSeals,
    /// A checkpoint is not to be relied on.
    #[error("{what} is not to be relied on: {source}")]
    Checkpoint {
        /// Which.
        what: String,
        /// Why not.
        source: NoteError,
    },
    /// A stored tile is not there, or too short.
    #[error("tile {} of level {} is missing or too short", id.index, id.level)]
    NoTile {
        /// Which.
        id: TileId,
    },
    /// A stored tile does not lead to the root that was signed.
    #[error("the stored tiles lead to the root {found} for a tree of {size}, but {expected} was signed")]
    OtherRoot {
        /// The tree's size.
        size: u64,
        /// What was signed.
        expected: Hash,
        /// What the tiles say.
        found: Hash,
    },
    /// A row is not what was sealed.
    #[error("the row at position {position} hashes to {found}, but {expected} was sealed")]
    OtherRow {
        /// Its position.
        position: Position,
        /// What was sealed.
        expected: Hash,
        /// What the row hashes to.
        found: Hash,
    },
    /// The log is shorter than what was signed.
    #[error("the log ends at position {head}, but a tree of {signed} was signed")]
    Shorter {
        /// The log's last position.
        head: Position,
        /// The size that was signed.
        signed: u64,
    },
    /// A tree larger than any that was sealed is asked for.
    #[error("only {sealed} events are sealed, not {wanted}")]
    NotSealed {
        /// The size of the newest checkpoint.
        sealed: u64,
        /// What was asked for.
        wanted: u64,
    },
}

impl SealError {
    /// Whether it speaks of seals and log that contradict each other: then nothing more may be signed.
    pub const fn is_contradiction(&self) -> bool {
        match self {
            Self::Journal(ReadError::Missing(_))
            | Self::Checkpoint { .. }
            | Self::NoTile { .. }
            | Self::OtherRoot { .. }
            | Self::OtherRow { .. }
            | Self::Shorter { .. } => true,
            Self::Database(_)
            | Self::Journal(_)
            | Self::Raced
            | Self::KeyFile { .. }
            | Self::ForeignKey { .. }
            | Self::NoSeals
            | Self::NotSealed { .. } => false,
        }
    }
}
