//! What the proof has found.

use thiserror::Error;

/// Something that must never be, and where in the log it came to be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{what}", .position.map_or_else(String::new, |position| format!("at position {position}: ")))]
pub struct Breach {
    /// The position at which it showed; `None` where it showed only in the end.
    pub position: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl Breach {
    /// Found at the end.
    pub fn in_the_end(what: impl Into<String>) -> Self {
        Self { position: None, what: what.into() }
    }

    /// Found at `position`.
    pub fn at(position: u64, what: impl Into<String>) -> Self {
        Self { position: Some(position), what: what.into() }
    }
}
