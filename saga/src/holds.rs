//! The holds that have a deadline to come: as many as there are tickets held, and no more.

use std::collections::{BTreeMap, HashMap};

use aggregates::BookingId;
use chrono::{DateTime, Utc};
use journal::Position;
use uuid::Uuid;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub until: DateTime<Utc>,
    pub booking: BookingId,
    /// Where in the log it was made, or a place before.
    pub made: Position,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    by_time: BTreeMap<(DateTime<Utc>, BookingId), Position>,
    by_booking: HashMap<BookingId, DateTime<Utc>>,
}

impl Holds {
    /// A new one, or one whose deadline has moved.
    pub fn insert(&mut self, Hold { until, booking, made }: Hold) {
        self.remove(booking);
        self.by_time.insert((until, booking), made);
        self.by_booking.insert(booking, until);
    }

    /// Its tickets are sold, or free again.
    pub fn remove(&mut self, booking: BookingId) {
        if let Some(until) = self.by_booking.remove(&booking) {
            self.by_time.remove(&(until, booking));
        }
    }

    /// When the next one ends.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.by_time.first_key_value().map(|((until, _), _)| *until)
    }

    /// Takes those out that are due at `now`, at most so many, the oldest deadline first.
    pub fn take_due(&mut self, now: DateTime<Utc>, max: usize) -> Vec<Hold> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(entry) = self.by_time.first_entry()
            && entry.key().0 <= now
        {
            let ((until, booking), made) = entry.remove_entry();
            self.by_booking.remove(&booking);
            taken.push(Hold { until, booking, made });
        }
        taken
    }

    /// How many end by then.
    pub fn due_by(&self, end: DateTime<Utc>) -> usize {
        self.by_time.range(..=(end, BookingId(Uuid::max()))).count()
    }

    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Where the one was made that was made first.
    pub fn first_made(&self) -> Option<Position> {
        self.by_time.values().copied().min()
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn hold(n: u64, seconds: i64) -> Hold {
        let booking = BookingId(Uuid::from_u128(n.into()));
        Hold { until: NOW + Duration::seconds(seconds), booking, made: Position(n) }
    }

    #[test]
    fn what_is_due_is_taken_in_order_and_the_rest_stays() {
        let mut holds = Holds::default();
        for hold in [hold(1, 3), hold(2, 1), hold(3, 2), hold(4, 9)] {
            holds.insert(hold);
        }
        assert_eq!((holds.due_by(NOW), holds.due_by(NOW + Duration::seconds(3))), (0, 3));
        assert_eq!(holds.take_due(NOW + Duration::seconds(5), 2), [hold(2, 1), hold(3, 2)]);
        assert_eq!((holds.len(), holds.next(), holds.first_made()), (2, Some(hold(1, 3).until), Some(Position(1))));
        assert_eq!(holds.take_due(NOW, 2), []);
    }

    #[test]
    fn what_was_sold_or_released_or_moved_leaves_nothing_behind() {
        let mut holds = Holds::default();
        holds.insert(hold(1, 3));
        holds.insert(hold(1, 7));
        assert_eq!((holds.len(), holds.next()), (1, Some(hold(1, 7).until)));
        holds.remove(hold(1, 7).booking);
        holds.remove(hold(2, 7).booking);
        assert_eq!((holds.len(), holds.next(), holds.first_made()), (0, None, None));
        assert!(holds.by_booking.is_empty());
    }
}
