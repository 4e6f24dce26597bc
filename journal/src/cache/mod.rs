//! Current states of aggregates, bounded, so that a command seldom has to read.

mod slot;

use std::{any::Any, num::NonZeroUsize, sync::Arc};

use aggregates::{AggregateType, Decide};
use lru::LruCache;
use parking_lot::Mutex;
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

/// The cache. At its capacity the aggregate that was used least recently leaves; it is loaded again when needed.
///
/// Strictly by recency: a booking that was just made is about to be used by the saga, and what has been used often in
/// the past (a booking of yesterday) is not. A policy that protects the often used lets go of just those.
pub(crate) struct Aggregates(Mutex<Entries>);

struct Entries {
    by_key: LruCache<(AggregateType, Uuid), Entry>,
    hits: u64,
    misses: u64,
}

impl Aggregates {
    /// Of `capacity` aggregates, and one at least.
    pub fn new(capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(Entries { by_key: LruCache::new(capacity), hits: 0, misses: 0 }))
    }

    /// The slot of one aggregate, empty if it was not cached.
    pub fn slot<A: Decide>(&self, id: Uuid) -> Arc<Slot<A>> {
        let mut entries = self.0.lock();
        if let Some(entry) = entries.by_key.get(&(A::KIND, id)) {
            let slot = Arc::clone(&entry.slot);
            entries.hits += 1;
            drop(entries);
            return slot.downcast().unwrap_or_else(|_| unreachable!("the key holds the type: {}", A::KIND));
        }
        let slot = Arc::new(Slot::<A>::default());
        let entry = Entry { shared: Arc::clone(slot.shared()), slot: slot.clone() };
        entries.misses += 1;
        let evicted = entries.by_key.push((A::KIND, id), entry);
        // A state can be large; it is not dropped while others wait.
        drop((entries, evicted));
        slot
    }

    /// Takes note of an event that may have been appended elsewhere: a state that lacks it is loaded again.
    pub fn observe(&self, aggregate: AggregateType, id: Uuid, sequence: Sequence) {
        if let Some(entry) = self.0.lock().by_key.peek(&(aggregate, id)) {
            entry.shared.observe(sequence);
        }
    }

    /// Aggregates held, and how often they were and were not found since the start.
    pub fn usage(&self) -> (usize, u64, u64) {
        let entries = self.0.lock();
        (entries.by_key.len(), entries.hits, entries.misses)
    }
}

#[cfg(test)]
mod tests {
    use aggregates::{Booking, Concert};

    use super::*;

    /// Whether the cache gives out the very slot that it gave out before.
    fn holds<A: Decide>(cache: &Aggregates, id: u128, slot: &Arc<Slot<A>>) -> bool {
        Arc::ptr_eq(&cache.slot::<A>(Uuid::from_u128(id)), slot)
    }

    #[test]
    fn what_came_last_stays_however_often_the_others_were_used() {
        let cache = Aggregates::new(100);
        for _ in 0..50 {
            for old in 0..100 {
                cache.slot::<Booking>(Uuid::from_u128(old));
            }
        }
        let new: Vec<_> = (1_000..1_100).map(|id| (id, cache.slot::<Booking>(Uuid::from_u128(id)))).collect();
        for (id, slot) in &new {
            assert!(holds(&cache, *id, slot), "booking {id} was let go of, though only 99 came after it");
        }
        assert_eq!(cache.usage().0, 100, "and the cache is bounded");
    }

    #[test]
    fn what_is_used_all_the_time_stays_whatever_passes_by() {
        let cache = Aggregates::new(10);
        let concert = cache.slot::<Concert>(Uuid::from_u128(1));
        for id in 0..1_000 {
            cache.slot::<Booking>(Uuid::from_u128(id));
            if id % 9 == 0 {
                assert!(holds(&cache, 1, &concert), "the concert was let go of after {id} bookings");
            }
        }
        let (held, hits, misses) = cache.usage();
        assert_eq!((held, hits, misses), (10, 112, 1_001));
    }
}
