//! The time to pay is over. A booking that was paid or has ended does not care.

use super::{Booking, BookingError, BookingEvent, BookingStatus, Request};

impl Booking {
    pub(super) fn expire(&self) -> Result<Vec<BookingEvent>, BookingError> {
        let (Request { booking_id, concert_id, user_id, qty }, status) = self.known()?;
        match status {
            BookingStatus::BookingRequested => {
                Ok(vec![BookingEvent::BookingExpired { booking_id, concert_id, user_id, qty }])
            }
            BookingStatus::BookingApproved
            | BookingStatus::BookingRejected
            | BookingStatus::BookingCanceled
            | BookingStatus::BookingExpired => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BookingCommand::Expire, state::given::*},
        *,
    };

    #[test]
    fn only_an_unpaid_booking_expires() {
        booking().given(vec![requested()]).when(Expire).then_expect_events(vec![expired()]);
        for end in [approved(), rejected(), canceled(), expired()] {
            booking().given(vec![requested(), end]).when(Expire).then_expect_events(vec![]);
        }
    }

    #[test]
    fn an_unknown_booking_refuses() {
        booking().given_no_previous_events().when(Expire).then_expect_error(BookingError::NoSuchBooking);
    }
}
