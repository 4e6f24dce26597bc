//! Tickets are held, so there is something to pay.

use super::{Payment, PaymentError, PaymentEvent, Request};

impl Payment {
    pub(super) fn open(&self, request: Request) -> Result<Vec<PaymentEvent>, PaymentError> {
        match self.request() {
            None => {
                let Request { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at } = request;
                Ok(vec![PaymentEvent::PaymentRequested {
                    payment_id,
                    booking_id,
                    concert_id,
                    user_id,
                    qty,
                    amount,
                    expires_at,
                }])
            }
            Some(known) if known == request => Ok(Vec::new()),
            Some(_) => Err(PaymentError::RequestedOtherwise),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{PaymentCommand, state::given::*},
        *,
    };
    use crate::Money;

    #[test]
    fn a_payment_is_requested_once() {
        payment()
            .given_no_previous_events()
            .when(PaymentCommand::Request(request()))
            .then_expect_events(vec![requested()]);
        payment().given(vec![requested()]).when(PaymentCommand::Request(request())).then_expect_events(vec![]);
    }

    #[test]
    fn another_amount_is_refused() {
        let other = Request { amount: Money::krw(1), ..request() };
        payment()
            .given(vec![requested()])
            .when(PaymentCommand::Request(other))
            .then_expect_error(PaymentError::RequestedOtherwise);
    }
}
