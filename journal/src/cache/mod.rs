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
///
/// What somebody has in hand stays: another slot for the same aggregate would not learn what is appended by way of the first,
/// nor the first what is by way of the other.
pub(crate) struct Aggregates {
    small: Mutex<Entries>,
    large: Mutex<Entries>,
    small_max: usize,
    large_events_max: u64,
}

/// What a large aggregate weighs at least, in events: it bounds their number, too.
const LARGE_EVENTS_LEAST: u64 = 100;
/// They grow while they are used, so their weight is looked at again after so many uses.
const LARGE_USES_UNWEIGHED: u64 = 1_000;

impl Entry {
    fn weight_events(&self) -> u64 {
        self.shared.sequence().0.max(LARGE_EVENTS_LEAST)
    }

    /// Whether somebody beside the cache has it: waits for its lock, or holds that.
    fn is_in_hand(&self) -> bool {
        // The slot itself has one of the latter.
        Arc::strong_count(&self.slot) > 1 || Arc::strong_count(&self.shared) > 2
    }
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

    /// Takes out the least recently used until no more than `max` are left.
    fn evict_by_number(&mut self, max: usize) -> Vec<Entry> {
        let surplus = self.by_key.len().saturating_sub(max);
        let free = self.by_key.iter().rev().filter(|(_, entry)| !entry.is_in_hand());
        let keys: Vec<_> = free.take(surplus).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.by_key.pop(key)).collect()
    }

    /// Takes out the least recently used until the others have no more than `max` events.
    fn evict_by_events(&mut self, max: u64) -> Vec<Entry> {
        let mut events: u64 = self.by_key.iter().map(|(_, entry)| entry.weight_events()).sum();
        let mut keys = Vec::new();
        for (key, entry) in self.by_key.iter().rev().filter(|(_, entry)| !entry.is_in_hand()) {
            if events <= max {
                break;
            }
            events -= entry.weight_events();
            keys.push(*key);
        }
        keys.iter().filter_map(|key| self.by_key.pop(key)).collect()
    }
}

impl Aggregates {
    /// Of `small_max` aggregates that stay small, and of others as many as have `large_events_max` events together; beside
    /// those that somebody has in hand.
    pub fn new(small_max: usize, large_events_max: u64) -> Self {
        Self { small: Entries::new(), large: Entries::new(), small_max, large_events_max }
    }

    fn part(&self, aggregate: AggregateType) -> &Mutex<Entries> {
        if has_snapshots(aggregate) { &self.large } else { &self.small }
    }

    /// The slot of one aggregate, empty if it was not cached.
    pub fn slot<A: Decide>(&self, id: Uuid) -> Arc<Slot<A>> {
        let is_large = has_snapshots(A::KIND);
        let mut entries = self.part(A::KIND).lock();
        let known = entries.by_key.get(&(A::KIND, id)).map(|entry| Arc::clone(&entry.slot));
        let is_new = known.is_none();
        let slot = if let Some(slot) = known {
            entries.hits += 1;
            typed(slot)
        } else {
            let slot = Arc::new(Slot::<A>::default());
            entries.misses += 1;
            entries.by_key.put((A::KIND, id), Entry { shared: Arc::clone(slot.shared()), slot: slot.clone() });
            slot
        };
        let evicted = if is_large && (is_new || entries.hits.is_multiple_of(LARGE_USES_UNWEIGHED)) {
            entries.evict_by_events(self.large_events_max)
        } else if is_new {
            entries.evict_by_number(self.small_max)
        } else {
            Vec::new()
        };
        // A state can be large; it is not dropped while others wait.
        drop((entries, evicted));
        slot
    }

    /// The slot of one aggregate, if it is cached; that somebody looked counts for nothing.
    pub fn peek<A: Decide>(&self, id: Uuid) -> Option<Arc<Slot<A>>> {
        let slot = Arc::clone(&self.part(A::KIND).lock().by_key.peek(&(A::KIND, id))?.slot);
        Some(typed(slot))
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

fn typed<A: Decide>(slot: Arc<dyn Any + Send + Sync>) -> Arc<Slot<A>> {
    slot.downcast().unwrap_or_else(|_| unreachable!("the key holds the type: {}", A::KIND))
}

#[cfg(test)]
mod tests {
    use aggregates::{Booking, Concert};

    use super::*;

    /// Whether the cache gives out the very slot that it gave out before.
    fn holds<A: Decide>(cache: &Aggregates, id: u128, slot: &Arc<Slot<A>>) -> bool {
        Arc::ptr_eq(&cache.slot::<A>(Uuid::from_u128(id)), slot)
    }

    async fn concert_of(cache: &Aggregates, id: u128, events: u64) {
        let slot = cache.slot::<Concert>(Uuid::from_u128(id));
        slot.lock().await.set(Head::new(Concert::default(), Sequence(events), Sequence(0), 0));
    }

    #[test]
    fn what_came_last_stays_however_often_the_others_were_used() {
        let cache = Aggregates::new(100, 0);
        for _ in 0..50 {
            for old in 0..100 {
                cache.slot::<Booking>(Uuid::from_u128(old));
            }
        }
        let (_, _, before) = cache.usage();
        for new in (1_000..1_100).chain(1_000..1_100) {
            cache.slot::<Booking>(Uuid::from_u128(new));
        }
        assert_eq!(
            cache.usage(),
            (100, 49 * 100 + 100, before + 100),
            "each that came was still there for its second use"
        );
    }

    #[tokio::test]
    async fn no_number_of_bookings_sends_a_concert_away() {
        let cache = Aggregates::new(10, 1_000);
        concert_of(&cache, 1, 900).await;
        for id in 0..1_000 {
            cache.slot::<Booking>(Uuid::from_u128(id));
        }
        assert_eq!(cache.usage(), (11, 0, 1_001));
        cache.slot::<Concert>(Uuid::from_u128(1));
        assert_eq!(cache.usage(), (11, 1, 1_001), "it is still there");
    }

    #[tokio::test]
    async fn concerts_weigh_as_much_as_they_have_events_and_the_one_that_is_asked_for_stays() {
        let cache = Aggregates::new(10, 1_000);
        concert_of(&cache, 1, 600).await;
        concert_of(&cache, 2, 300).await;
        assert_eq!(cache.usage().0, 2, "900 events are within the bound");
        concert_of(&cache, 3, 5_000).await;
        assert_eq!(cache.usage().0, 3, "so are a hundred more, as long as nothing else is known of it");
        concert_of(&cache, 4, 100).await;
        assert_eq!(cache.usage(), (1, 0, 4), "the large one went, and before it what was used less recently");
    }

    #[tokio::test]
    async fn concerts_that_grow_while_they_are_used_are_weighed_again() {
        let cache = Aggregates::new(10, 1_000);
        concert_of(&cache, 1, 100).await;
        concert_of(&cache, 2, 100).await;
        concert_of(&cache, 1, 900).await;
        concert_of(&cache, 2, 900).await;
        assert_eq!(cache.usage().0, 2, "it is not looked at each time");
        for _ in 0..LARGE_USES_UNWEIGHED {
            cache.slot::<Concert>(Uuid::from_u128(2));
        }
        assert_eq!(cache.usage().0, 1);
    }

    #[tokio::test]
    async fn ids_that_nobody_has_weigh_something() {
        let cache = Aggregates::new(10, 1_000);
        for id in 0..1_000 {
            cache.slot::<Concert>(Uuid::from_u128(id));
        }
        assert_eq!(cache.usage().0, 10);
    }

    #[tokio::test]
    async fn what_somebody_has_in_hand_stays() {
        let cache = Aggregates::new(2, 0);
        let locked = cache.slot::<Booking>(Uuid::from_u128(1)).lock().await;
        let waited_for = cache.slot::<Booking>(Uuid::from_u128(2));
        let concert = cache.slot::<Concert>(Uuid::from_u128(1)).lock().await;
        for id in 10..20 {
            cache.slot::<Booking>(Uuid::from_u128(id));
            cache.slot::<Concert>(Uuid::from_u128(id));
        }
        assert!(holds(&cache, 2, &waited_for));
        let misses = cache.usage().2;
        let (_again, _concert) = (cache.slot::<Booking>(Uuid::from_u128(1)), cache.slot::<Concert>(Uuid::from_u128(1)));
        assert_eq!(cache.usage().2, misses, "both were there all the time");
        drop((locked, concert, waited_for));
    }
}
