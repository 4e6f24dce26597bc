//! What there is of a projection, for people.

use journal::Position;
use serde::Serialize;

use crate::Parked;

/// The live copy of a projection, and what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyState {
    /// Of which projection.
    pub name: &'static str,
    /// By which version of what events do to the rows it was made.
    pub version: u32,
    /// The version of this code.
    pub current: u32,
    /// The number of the live copy.
    pub generation: u32,
    /// Copies that were live before and are kept.
    pub old: u32,
    /// How far it is.
    pub position: Position,
    /// What could not be projected.
    pub parked: Vec<Parked>,
}

impl CopyState {
    /// Whether it was made by an older version of this code, so that it is to be rebuilt.
    pub const fn is_outdated(&self) -> bool {
        self.version < self.current
    }
}
