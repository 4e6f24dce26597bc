//! Tickets are set aside for a booking, or refused: the one place where overselling would happen.

use chrono::{DateTime, Duration, Utc};

use super::{Concert, ConcertEvent, RefusalReason};
use crate::{BookingId, ConcertId, Qty, UserId};

impl Concert {
    pub(super) fn hold(
        &self,
        concert_id: ConcertId,
        booking_id: BookingId,
        user_id: UserId,
        qty: Qty,
        now: DateTime<Utc>,
    ) -> Vec<ConcertEvent> {
        if self.allotments.contains_key(&booking_id) {
            return Vec::new();
        }
        let available = self.counts.available();
        let refused = |reason| vec![ConcertEvent::TicketsRefused { concert_id, booking_id, qty, reason, available }];
        let Some(terms) = &self.terms else { return refused(RefusalReason::NoSuchConcert) };
        if self.canceled {
            return refused(RefusalReason::ConcertCanceled);
        }
        if terms.max_per_booking.is_some_and(|max| qty > max) {
            return refused(RefusalReason::MaxPerBooking);
        }
        if qty.get() > available {
            return refused(RefusalReason::SoldOut);
        }
        vec![ConcertEvent::TicketsHeld {
            concert_id,
            booking_id,
            user_id,
            qty,
            amount: terms.price.times(qty),
            expires_at: now + Duration::seconds(i64::from(terms.hold_seconds)),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ConcertCommand, state::given::*},
        *,
    };

    fn hold(n: u128, tickets: u32) -> ConcertCommand {
        ConcertCommand::Hold { concert_id: CONCERT, booking_id: booking(n), user_id: FAN, qty: qty(tickets), now: NOW }
    }

    fn refused(n: u128, tickets: u32, reason: RefusalReason, available: u32) -> ConcertEvent {
        ConcertEvent::TicketsRefused {
            concert_id: CONCERT,
            booking_id: booking(n),
            qty: qty(tickets),
            reason,
            available,
        }
    }

    #[test]
    fn tickets_are_held_until_the_last_one() {
        concert().given(vec![registered(3), held(1, 1)]).when(hold(2, 2)).then_expect_events(vec![held(2, 2)]);
    }

    #[test]
    fn more_than_is_left_is_refused_whole() {
        concert().given(vec![registered(3), held(1, 2)]).when(hold(2, 2)).then_expect_events(vec![refused(
            2,
            2,
            RefusalReason::SoldOut,
            1,
        )]);
    }

    #[test]
    fn more_than_one_booking_may_have_is_refused() {
        concert().given(vec![registered(100)]).when(hold(1, 5)).then_expect_events(vec![refused(
            1,
            5,
            RefusalReason::MaxPerBooking,
            100,
        )]);
    }

    #[test]
    fn a_cancelled_or_unknown_concert_has_no_tickets() {
        concert().given(vec![registered(3), canceled()]).when(hold(1, 1)).then_expect_events(vec![refused(
            1,
            1,
            RefusalReason::ConcertCanceled,
            3,
        )]);
        concert().given_no_previous_events().when(hold(1, 1)).then_expect_events(vec![refused(
            1,
            1,
            RefusalReason::NoSuchConcert,
            0,
        )]);
    }

    #[test]
    fn a_booking_asks_only_once_whatever_became_of_it() {
        let refusal = refused(1, 4, RefusalReason::SoldOut, 3);
        let release = ConcertEvent::TicketsReleased {
            concert_id: CONCERT,
            booking_id: booking(1),
            qty: qty(1),
            was: super::super::Allotted::Held,
        };
        for history in [vec![held(1, 1)], vec![held(1, 1), sold(1, 1)], vec![refusal], vec![held(1, 1), release]] {
            let history = [vec![registered(3)], history].concat();
            concert().given(history).when(hold(1, 1)).then_expect_events(vec![]);
        }
    }
}
