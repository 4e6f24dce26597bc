//! A booking is called off, before or after it was paid. Tickets and money follow by the saga.

use super::{Booking, BookingError, BookingEvent, BookingStatus, CancelReason, Request};

impl Booking {
    pub(super) fn cancel(&self, reason: CancelReason) -> Result<Vec<BookingEvent>, BookingError> {
        let (Request { booking_id, concert_id, user_id, qty }, status) = self.known()?;
        match status {
            BookingStatus::BookingRequested | BookingStatus::BookingApproved => {
                Ok(vec![BookingEvent::BookingCanceled { booking_id, concert_id, user_id, qty, reason }])
            }
            BookingStatus::BookingCanceled => Ok(Vec::new()),
            from @ (BookingStatus::BookingRejected | BookingStatus::BookingExpired) => {
                Err(BookingError::IllegalTransition { from, to: BookingStatus::BookingCanceled })
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

    const CANCEL: BookingCommand = BookingCommand::Cancel { reason: CancelReason::ByFan };

    #[test]
    fn a_live_booking_is_cancelled_once() {
        booking().given(vec![requested()]).when(CANCEL).then_expect_events(vec![canceled()]);
        booking().given(vec![requested(), approved()]).when(CANCEL).then_expect_events(vec![canceled()]);
        booking().given(vec![requested(), canceled()]).when(CANCEL).then_expect_events(vec![]);
    }

    #[test]
    fn a_rejected_or_expired_booking_has_nothing_to_cancel() {
        for (end, from) in [(rejected(), BookingStatus::BookingRejected), (expired(), BookingStatus::BookingExpired)] {
            let to = BookingStatus::BookingCanceled;
            booking()
                .given(vec![requested(), end])
                .when(CANCEL)
                .then_expect_error(BookingError::IllegalTransition { from, to });
        }
    }

    #[test]
    fn an_unknown_booking_refuses() {
        booking().given_no_previous_events().when(CANCEL).then_expect_error(BookingError::NoSuchBooking);
    }
}
