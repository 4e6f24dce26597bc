//! A booking gets no tickets. Where it has ended otherwise meanwhile, that stands.

use super::{Booking, BookingError, BookingEvent, BookingStatus, Request};
use crate::concert::RefusalReason;

impl Booking {
    pub(super) fn reject(&self, reason: RefusalReason, available: u32) -> Result<Vec<BookingEvent>, BookingError> {
        let (Request { booking_id, concert_id, user_id, qty }, status) = self.known()?;
        match status {
            BookingStatus::BookingRequested => {
                Ok(vec![BookingEvent::BookingRejected { booking_id, concert_id, user_id, qty, reason, available }])
            }
            BookingStatus::BookingRejected | BookingStatus::BookingCanceled | BookingStatus::BookingExpired => {
                Ok(Vec::new())
            }
            from @ BookingStatus::BookingApproved => {
                Err(BookingError::IllegalTransition { from, to: BookingStatus::BookingRejected })
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

    const REJECT: BookingCommand = BookingCommand::Reject { reason: RefusalReason::SoldOut, available: 1 };

    #[test]
    fn a_requested_booking_is_rejected() {
        booking().given(vec![requested()]).when(REJECT).then_expect_events(vec![rejected()]);
    }

    #[test]
    fn an_ended_booking_stays_as_it_ended() {
        for end in [rejected(), canceled(), expired()] {
            booking().given(vec![requested(), end]).when(REJECT).then_expect_events(vec![]);
        }
    }

    #[test]
    fn an_approved_or_unknown_booking_refuses() {
        booking().given(vec![requested(), approved()]).when(REJECT).then_expect_error(
            BookingError::IllegalTransition {
                from: BookingStatus::BookingApproved,
                to: BookingStatus::BookingRejected,
            },
        );
        booking().given_no_previous_events().when(REJECT).then_expect_error(BookingError::NoSuchBooking);
    }
}
