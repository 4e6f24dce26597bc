//! Current states of aggregates, bounded, so that a command seldom has to read.

mod slot;

use std::{any::Any, sync::Arc};

use aggregates::{AggregateType, Decide};
use quick_cache::sync::Cache;
use slot::Shared;
pub(crate) use slot::{Head, Slot, SlotGuard};
use uuid::Uuid;

use crate::Sequence;

/// An aggregate's place in the cache, whatever its type.
#[derive(Clone)]
struct Entry {
    slot: Arc<dyn Any + Send + Sync>,
    shared: Arc<Shared>,
}

/// The cache. At its capacity the aggregate that was least useful lately leaves; it is loaded again when needed.
pub(crate) struct Aggregates {
    entries: Cache<(AggregateType, Uuid), Entry>,
}

impl Aggregates {
    pub fn new(capacity: usize) -> Self {
        Self { entries: Cache::new(capacity) }
    }

    /// The slot of one aggregate, empty if it was not cached.
    pub fn slot<A: Decide>(&self, id: Uuid) -> Arc<Slot<A>> {
        let entry = self.entries.get_or_insert_with(&(A::KIND, id), || {
            let slot = Arc::new(Slot::<A>::default());
            let shared = Arc::clone(slot.shared());
            Ok::<_, std::convert::Infallible>(Entry { slot, shared })
        });
        let Ok(entry) = entry;
        entry.slot.downcast().unwrap_or_else(|_| unreachable!("the key holds the type: {}", A::KIND))
    }

    /// Takes note of an event that may have been appended elsewhere: a state that lacks it is loaded again.
    pub fn observe(&self, aggregate: AggregateType, id: Uuid, sequence: Sequence) {
        if let Some(entry) = self.entries.peek(&(aggregate, id)) {
            entry.shared.observe(sequence);
        }
    }

    /// Aggregates held, and how often they were and were not found since the start.
    pub fn usage(&self) -> (usize, u64, u64) {
        (self.entries.len(), self.entries.hits(), self.entries.misses())
    }
}
