//! A booking's tickets become free again. Asking for it where there is nothing to free has no effect.

use super::{AllotmentState, Allotted, Concert, ConcertError, ConcertEvent};
use crate::BookingId;

impl Concert {
    pub(super) fn release(&self, booking_id: BookingId) -> Result<Vec<ConcertEvent>, ConcertError> {
        let terms = self.terms.as_ref().ok_or(ConcertError::NoSuchConcert)?;
        let Some(allotment) = self.allotments.get(&booking_id) else { return Ok(Vec::new()) };
        let was = match allotment.state {
            AllotmentState::Held => Allotted::Held,
            AllotmentState::Sold => Allotted::Sold,
            AllotmentState::Released | AllotmentState::Refused => return Ok(Vec::new()),
        };
        Ok(vec![ConcertEvent::TicketsReleased { concert_id: terms.concert_id, booking_id, qty: allotment.qty, was }])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ConcertCommand, state::given::*},
        *,
    };

    const RELEASE: fn(u128) -> ConcertCommand = |n| ConcertCommand::Release { booking_id: booking(n) };

    fn released(n: u128, tickets: u32, was: Allotted) -> ConcertEvent {
        ConcertEvent::TicketsReleased { concert_id: CONCERT, booking_id: booking(n), qty: qty(tickets), was }
    }

    #[test]
    fn held_and_sold_tickets_come_back() {
        concert().given(vec![registered(3), held(1, 2)]).when(RELEASE(1)).then_expect_events(vec![released(
            1,
            2,
            Allotted::Held,
        )]);
        concert()
            .given(vec![registered(3), held(1, 2), sold(1, 2)])
            .when(RELEASE(1))
            .then_expect_events(vec![released(1, 2, Allotted::Sold)]);
    }

    #[test]
    fn releasing_twice_or_nothing_has_no_effect() {
        concert()
            .given(vec![registered(3), held(1, 2), released(1, 2, Allotted::Held)])
            .when(RELEASE(1))
            .then_expect_events(vec![]);
        concert().given(vec![registered(3)]).when(RELEASE(1)).then_expect_events(vec![]);
    }

    #[test]
    fn an_unknown_concert_refuses() {
        concert().given_no_previous_events().when(RELEASE(1)).then_expect_error(ConcertError::NoSuchConcert);
    }
}
