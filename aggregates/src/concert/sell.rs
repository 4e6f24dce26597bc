//! Held tickets become sold ones.

use super::{AllotmentState, Concert, ConcertError, ConcertEvent};
use crate::BookingId;

impl Concert {
    pub(super) fn sell(&self, booking_id: BookingId) -> Result<Vec<ConcertEvent>, ConcertError> {
        let terms = self.terms.as_ref().ok_or(ConcertError::NoSuchConcert)?;
        let allotment = self.allotments.get(&booking_id).ok_or(ConcertError::NotHeld(booking_id))?;
        match allotment.state {
            AllotmentState::Held => {
                Ok(vec![ConcertEvent::TicketsSold { concert_id: terms.concert_id, booking_id, qty: allotment.qty }])
            }
            AllotmentState::Sold => Ok(Vec::new()),
            AllotmentState::Released | AllotmentState::Refused => Err(ConcertError::NotHeld(booking_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Allotted, ConcertCommand, RefusalReason, state::given::*},
        *,
    };

    #[test]
    fn held_tickets_are_sold() {
        concert()
            .given(vec![registered(3), held(1, 2)])
            .when(ConcertCommand::Sell { booking_id: booking(1) })
            .then_expect_events(vec![sold(1, 2)]);
    }

    #[test]
    fn selling_twice_has_no_second_effect() {
        concert()
            .given(vec![registered(3), held(1, 2), sold(1, 2)])
            .when(ConcertCommand::Sell { booking_id: booking(1) })
            .then_expect_events(vec![]);
    }

    #[test]
    fn a_booking_without_a_hold_cannot_buy() {
        let released = ConcertEvent::TicketsReleased {
            concert_id: CONCERT,
            booking_id: booking(1),
            qty: qty(2),
            was: Allotted::Held,
        };
        let refused = ConcertEvent::TicketsRefused {
            concert_id: CONCERT,
            booking_id: booking(1),
            qty: qty(4),
            reason: RefusalReason::SoldOut,
            available: 3,
        };
        for history in [vec![], vec![held(1, 2), released], vec![refused]] {
            concert()
                .given([vec![registered(3)], history].concat())
                .when(ConcertCommand::Sell { booking_id: booking(1) })
                .then_expect_error(ConcertError::NotHeld(booking(1)));
        }
        concert()
            .given_no_previous_events()
            .when(ConcertCommand::Sell { booking_id: booking(1) })
            .then_expect_error(ConcertError::NoSuchConcert);
    }
}
