//! How far a projection has come, and in which log.

use journal::{Position, RecordedEvent};
use sha2::{Digest, Sha256};

/// How far a projection has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last event in it; 0 where there is none.
    pub position: Position,
    /// What that event is known by, where the projection lives apart from the log and could meet another one.
    pub anchor: Option<Anchor>,
}

/// What an event is known by: a digest of what identifies it and of its payload. Two logs that agree on it at some
/// position are the same log up to there, short of somebody's intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor(pub [u8; 32]);

impl Anchor {
    /// Of `event`. Nothing goes in that the mirror does not carry byte for byte.
    pub fn of(event: &RecordedEvent) -> Self {
        let mut digest = Sha256::new();
        digest.update(event.position.0.to_be_bytes());
        digest.update(event.aggregate_id.as_bytes());
        digest.update(event.sequence.0.to_be_bytes());
        digest.update(event.payload.as_bytes());
        Self(digest.finalize().into())
    }
}
