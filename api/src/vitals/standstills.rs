//! Projections that have stopped until somebody looks.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Standstill;

/// Those of this process; clones are the same. At most one a projection, as a stopped one stays so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standstills(Arc<Mutex<Vec<Standstill>>>);

impl Standstills {
    /// `projection` has stopped.
    pub fn add(&self, projection: &str, reason: &dyn std::error::Error) {
        self.0.lock().push(Standstill { projection: projection.to_owned(), reason: reason.to_string() });
    }

    /// All there are.
    pub fn all(&self) -> Vec<Standstill> {
        self.0.lock().clone()
    }
}
