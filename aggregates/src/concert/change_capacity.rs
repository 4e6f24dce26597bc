//! The organizer adds or withdraws tickets, but never ones that somebody holds or has bought.

use super::{CAPACITY_MAX, Concert, ConcertError, ConcertEvent};

impl Concert {
    pub(super) fn change_capacity(&self, capacity: u32) -> Result<Vec<ConcertEvent>, ConcertError> {
        let terms = self.terms.as_ref().ok_or(ConcertError::NoSuchConcert)?;
        if self.canceled {
            return Err(ConcertError::Canceled);
        }
        let least = (self.counts.held + self.counts.sold).max(1);
        if capacity < least || capacity > CAPACITY_MAX {
            return Err(ConcertError::CapacityOutOfRange { capacity, least });
        }
        if capacity == self.counts.capacity {
            return Ok(Vec::new());
        }
        Ok(vec![ConcertEvent::CapacityChanged {
            concert_id: terms.concert_id,
            previous: self.counts.capacity,
            capacity,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ConcertCommand::ChangeCapacity, state::given::*},
        *,
    };

    fn changed(previous: u32, capacity: u32) -> ConcertEvent {
        ConcertEvent::CapacityChanged { concert_id: CONCERT, previous, capacity }
    }

    #[test]
    fn capacity_can_grow_and_shrink_to_what_is_taken() {
        let history = vec![registered(10), held(1, 3), held(2, 2), sold(2, 2)];
        concert()
            .given(history.clone())
            .when(ChangeCapacity { capacity: 20 })
            .then_expect_events(vec![changed(10, 20)]);
        concert().given(history).when(ChangeCapacity { capacity: 5 }).then_expect_events(vec![changed(10, 5)]);
    }

    #[test]
    fn the_same_capacity_has_no_effect() {
        concert().given(vec![registered(10)]).when(ChangeCapacity { capacity: 10 }).then_expect_events(vec![]);
    }

    #[test]
    fn capacity_never_falls_below_held_and_sold_or_leaves_its_range() {
        let history = vec![registered(10), held(1, 3), held(2, 2), sold(2, 2)];
        for capacity in [4, 0, CAPACITY_MAX + 1] {
            concert()
                .given(history.clone())
                .when(ChangeCapacity { capacity })
                .then_expect_error(ConcertError::CapacityOutOfRange { capacity, least: 5 });
        }
    }

    #[test]
    fn an_unknown_or_cancelled_concert_refuses() {
        concert()
            .given_no_previous_events()
            .when(ChangeCapacity { capacity: 5 })
            .then_expect_error(ConcertError::NoSuchConcert);
        concert()
            .given(vec![registered(10), canceled()])
            .when(ChangeCapacity { capacity: 5 })
            .then_expect_error(ConcertError::Canceled);
    }
}
