//! Current states of aggregates, bounded, so that a command seldom has to read.

mod slot;

use std::{any::Any, sync::Arc};

use aggregates::{AggregateType, Decide};
use lru::LruCache;
use parking_lot::Mutex;
use slot::Shared;
pub(crate) use slot::{Head, Slot, SlotGuard};
use uuid::Uuid;

use crate::{Sequence, load::has_snapshots};

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
///
/// Aggregates that grow without bound, which are costly to load and of which there are few, have a part of their own, so
/// that no number of bookings that pass by sends a concert away. They weigh as much as they have events.
pub(crate) struct Aggregates {
    small: Mutex<Entries>,
    large: Mutex<Entries>,
    small_max: usize,
    large_events_max: u64,
}

struct Entries {
    by_key: LruCache<(AggregateType, Uuid), Entry>,
    hits: u64,
    misses: u64,
}

impl Entries {
    fn new() -> Mutex<Self> {
        Mutex::new(Self { by_key: LruCache::unbounded(), hits: 0, misses: 0 })
    }

    fn events(&self) -> u64 {
        self.by_key.iter().map(|(_, entry)| entry.shared.sequence().0.max(1)).sum()
    }

    /// Lets go of the least recently used that keeps the rest from being within the bounds; never of the last one.
    fn evict(&mut self, aggregates_max: usize, events_max: u64) -> Vec<Entry> {
        let mut evicted = Vec::new();
        let mut events = if events_max == u64::MAX { 0 } else { self.events() };
        while self.by_key.len() > 1
            && (self.by_key.len() > aggregates_max || events > events_max)
            && let Some((_, entry)) = self.by_key.pop_lru()
        {
            events = events.saturating_sub(entry.shared.sequence().0.max(1));
            evicted.push(entry);
        }
        evicted
    }
}

impl Aggregates {
    /// Of `small_max` aggregates that stay small, and of others as many as have `large_events_max` events together; of
    /// either one at least.
    pub fn new(small_max: usize, large_events_max: u64) -> Self {
        Self { small: Entries::new(), large: Entries::new(), small_max, large_events_max }
    }

    fn part(&self, aggregate: AggregateType) -> &Mutex<Entries> {
        if has_snapshots(aggregate) { &self.large } else { &self.small }
    }

    /// The slot of one aggregate, empty if it was not cached.
    pub fn slot<A: Decide>(&self, id: Uuid) -> Arc<Slot<A>> {
        let mut entries = self.part(A::KIND).lock();
        if let Some(entry) = entries.by_key.get(&(A::KIND, id)) {
            let slot = Arc::clone(&entry.slot);
            entries.hits += 1;
            drop(entries);
            return slot.downcast().unwrap_or_else(|_| unreachable!("the key holds the type: {}", A::KIND));
        }
        let slot = Arc::new(Slot::<A>::default());
        entries.misses += 1;
        entries.by_key.put((A::KIND, id), Entry { shared: Arc::clone(slot.shared()), slot: slot.clone() });
        let evicted = if has_snapshots(A::KIND) {
            entries.evict(usize::MAX, self.large_events_max)
        } else {
            entries.evict(self.small_max, u64::MAX)
        };
        // A state can be large; it is not dropped while others wait.
        drop((entries, evicted));
        slot
    }

    /// Takes note of an event that may have been appended elsewhere: a state that lacks it is loaded again.
    pub fn observe(&self, aggregate: AggregateType, id: Uuid, sequence: Sequence) {
        if let Some(entry) = self.part(aggregate).lock().by_key.peek(&(aggregate, id)) {
            entry.shared.observe(sequence);
        }
    }

    /// Aggregates held, and how often they were and were not found since the start.
    pub fn usage(&self) -> (usize, u64, u64) {
        let (small, large) = (self.small.lock(), self.large.lock());
        (small.by_key.len() + large.by_key.len(), small.hits + large.hits, small.misses + large.misses)
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

    async fn concert_of(cache: &Aggregates, id: u128, events: u64) -> Arc<Slot<Concert>> {
        let slot = cache.slot::<Concert>(Uuid::from_u128(id));
        slot.lock().await.set(Head::new(Concert::default(), Sequence(events), Sequence(0), 0));
        slot
    }

    #[test]
    fn what_came_last_stays_however_often_the_others_were_used() {
        let cache = Aggregates::new(100, 0);
        for _ in 0..50 {
            for old in 0..100 {
                cache.slot::<Booking>(Uuid::from_u128(old));
            }
        }
        let new: Vec<_> = (1_000..1_100).map(|id| (id, cache.slot::<Booking>(Uuid::from_u128(id)))).collect();
        for (id, slot) in &new {
            assert!(holds(&cache, *id, slot), "booking {id} was let go of, though only 99 came after it");
        }
        assert_eq!(cache.usage(), (100, 50 * 100 - 100 + 100, 200), "and the cache is bounded");
    }

    #[tokio::test]
    async fn no_number_of_bookings_sends_a_concert_away() {
        let cache = Aggregates::new(10, 1_000);
        let concert = concert_of(&cache, 1, 900).await;
        for id in 0..1_000 {
            cache.slot::<Booking>(Uuid::from_u128(id));
        }
        assert!(holds(&cache, 1, &concert));
        assert_eq!(cache.usage().0, 11);
    }

    #[tokio::test]
    async fn concerts_weigh_as_much_as_they_have_events_and_one_always_stays() {
        let cache = Aggregates::new(10, 1_000);
        let old = concert_of(&cache, 1, 600).await;
        let used = concert_of(&cache, 2, 300).await;
        assert!(holds(&cache, 1, &old), "600 and 300 are within the bound");
        assert!(holds(&cache, 2, &used));
        let large = concert_of(&cache, 3, 5_000).await;
        assert!(holds(&cache, 3, &large) && holds(&cache, 1, &old), "what it weighs is seen when another comes");
        cache.slot::<Concert>(Uuid::from_u128(4));
        assert_eq!(
            cache.usage().0,
            2,
            "the concert that came and the one that was used just before, which fits: 601 events"
        );
        assert!(holds(&cache, 1, &old));
        concert_of(&cache, 5, 5_000).await;
        cache.slot::<Concert>(Uuid::from_u128(6));
        assert_eq!(cache.usage().0, 1, "the newest stays, though alone");
    }
}
