//! Events that cannot be projected, put aside so that the others go on.

use std::sync::Arc;

use aggregates::AggregateType;
use chrono::{DateTime, Utc};
use journal::Position;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Rows of one projection that may wait behind an event which cannot be projected, at most. One more stops the
/// projection: so many are not the events' fault.
pub const PARKED_MAX: usize = 1_000;

/// An event that cannot be projected. What follows it in the same row waits behind it, in the log, until it can; what
/// concerns other rows goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// Where it stands.
    pub position: Position,
    /// Whose kind it is of.
    pub aggregate: AggregateType,
    /// Whose it is.
    pub aggregate_id: Uuid,
    /// Its name in the journal.
    pub event_type: String,
    /// What went wrong the last time.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Events that wait behind it.
    pub waiting: u64,
    /// When it was met.
    pub parked_at: DateTime<Utc>,
}

/// What a projection has parked, for who looks at it from elsewhere in the process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct ParkedBoard(Arc<Mutex<Vec<Parked>>>);

impl ParkedBoard {
    /// All of it, by position.
    pub fn all(&self) -> Vec<Parked> {
        self.0.lock().clone()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn set(&self, mut parked: Vec<Parked>) {
        parked.sort_by_key(|parked| parked.position);
        *self.0.lock() = parked;
    }
}

/// What became of a parked event that was tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retried {
    /// What was parked.
    pub was: Parked,
    /// What still is, of the same row; `None` where the row has caught up.
    pub left: Option<Parked>,
    /// Events that are now in the row.
    pub applied: u64,
}
