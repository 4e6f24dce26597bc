//! A paid booking is approved. One that has ended is not: the money goes back, and that is the saga's to see to.

use super::{Booking, BookingError, BookingEvent, BookingStatus, Request};
use crate::PaymentId;

impl Booking {
    pub(super) fn approve(&self, payment_id: PaymentId) -> Result<Vec<BookingEvent>, BookingError> {
        let (Request { booking_id, concert_id, user_id, qty }, status) = self.known()?;
        match status {
            BookingStatus::BookingRequested => {
                Ok(vec![BookingEvent::BookingApproved { booking_id, concert_id, user_id, qty, payment_id }])
            }
            BookingStatus::BookingApproved => Ok(Vec::new()),
            from
            @ (BookingStatus::BookingRejected | BookingStatus::BookingCanceled | BookingStatus::BookingExpired) => {
                Err(BookingError::IllegalTransition { from, to: BookingStatus::BookingApproved })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BookingCommand, state::given::*},
        *,
    };

    fn approve() -> BookingCommand {
        BookingCommand::Approve { payment_id: PaymentId::of(BOOKING) }
    }

    #[test]
    fn a_requested_booking_is_approved_once() {
        booking().given(vec![requested()]).when(approve()).then_expect_events(vec![approved()]);
        booking().given(vec![requested(), approved()]).when(approve()).then_expect_events(vec![]);
    }

    #[test]
    fn an_ended_booking_is_not_approved() {
        for (end, from) in [
            (rejected(), BookingStatus::BookingRejected),
            (canceled(), BookingStatus::BookingCanceled),
            (expired(), BookingStatus::BookingExpired),
        ] {
            let to = BookingStatus::BookingApproved;
            booking()
                .given(vec![requested(), end])
                .when(approve())
                .then_expect_error(BookingError::IllegalTransition { from, to });
        }
    }

    #[test]
    fn an_unknown_booking_refuses() {
        booking().given_no_previous_events().when(approve()).then_expect_error(BookingError::NoSuchBooking);
    }
}
