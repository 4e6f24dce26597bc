//! A fan asks for tickets. Whether there are any is decided later, by the concert.

use super::{Booking, BookingError, BookingEvent, Request};

impl Booking {
    pub(super) fn open(&self, request: Request) -> Result<Vec<BookingEvent>, BookingError> {
        match self.request() {
            None => {
                let Request { booking_id, concert_id, user_id, qty } = request;
                Ok(vec![BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty }])
            }
            Some(known) if known == request => Ok(Vec::new()),
            Some(_) => Err(BookingError::RequestedOtherwise),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BookingCommand::Request as Ask, state::given::*},
        *,
    };

    #[test]
    fn a_booking_is_requested() {
        booking().given_no_previous_events().when(Ask(request(2))).then_expect_events(vec![requested()]);
    }

    #[test]
    fn the_same_request_again_has_no_effect_whatever_became_of_it() {
        for after in [vec![], vec![approved()], vec![canceled()], vec![rejected()]] {
            booking().given([vec![requested()], after].concat()).when(Ask(request(2))).then_expect_events(vec![]);
        }
    }

    #[test]
    fn another_request_under_the_same_id_is_refused() {
        booking().given(vec![requested()]).when(Ask(request(3))).then_expect_error(BookingError::RequestedOtherwise);
    }
}
