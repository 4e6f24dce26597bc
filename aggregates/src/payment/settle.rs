//! The outcome of a try, once it is known for certain.

use chrono::{DateTime, Utc};

use super::{Outcome, Payment, PaymentCancelReason, PaymentError, PaymentEvent, Request, state::Requested};
use crate::AttemptId;

impl Payment {
    pub(super) fn settle(&self, attempt_id: AttemptId, outcome: Outcome) -> Result<Vec<PaymentEvent>, PaymentError> {
        let requested = self.known()?;
        if requested.in_flight.as_ref().is_some_and(|attempt| attempt.attempt_id == attempt_id) {
            return Ok(requested.settled(attempt_id, outcome));
        }
        if self.was_settled(attempt_id, &outcome) {
            return Ok(Vec::new());
        }
        // We gave it up, and were wrong: the money is there, so the log must say so, and give it back where it is not
        // wanted any more.
        let given_up = self.refused(attempt_id).is_some_and(|refused| refused.code.is_none());
        match outcome {
            Outcome::Approved { approved_at, payment_key } if given_up && requested.approved.is_none() => {
                let mut events = vec![requested.approved(attempt_id, payment_key, approved_at)];
                if requested.ending {
                    let Request { payment_id, booking_id, .. } = requested.request;
                    let reason = PaymentCancelReason::ApprovedTooLate;
                    events.push(PaymentEvent::PaymentCancelRequested { payment_id, booking_id, reason });
                }
                Ok(events)
            }
            Outcome::Approved { .. } | Outcome::Declined { .. } | Outcome::NotDone { .. } => {
                Err(PaymentError::NotInFlight(attempt_id))
            }
        }
    }

    /// Whether this very outcome of this try is noted already.
    fn was_settled(&self, attempt_id: AttemptId, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Approved { .. } => self.approved().is_some_and(|approved| approved.attempt_id == attempt_id),
            Outcome::Declined { .. } => self.refused(attempt_id).is_some_and(|refused| refused.code.is_some()),
            Outcome::NotDone { .. } => self.refused(attempt_id).is_some_and(|refused| refused.code.is_none()),
        }
    }
}

impl Requested {
    fn settled(&self, attempt_id: AttemptId, outcome: Outcome) -> Vec<PaymentEvent> {
        let Request { payment_id, booking_id, .. } = self.request;
        let came_to_nothing = match outcome {
            Outcome::Approved { approved_at, payment_key } => {
                return vec![self.approved(attempt_id, payment_key, approved_at)];
            }
            Outcome::Declined { code, message } => {
                PaymentEvent::PaymentDeclined { payment_id, booking_id, attempt_id, code, message }
            }
            Outcome::NotDone { reason } => {
                PaymentEvent::PaymentAttemptAbandoned { payment_id, booking_id, attempt_id, reason }
            }
        };
        if self.ending { vec![came_to_nothing, self.canceled(false)] } else { vec![came_to_nothing] }
    }

    fn approved(&self, attempt_id: AttemptId, payment_key: String, approved_at: DateTime<Utc>) -> PaymentEvent {
        let Request { payment_id, booking_id, concert_id, user_id, qty, amount, .. } = self.request;
        PaymentEvent::PaymentApproved {
            payment_id,
            booking_id,
            concert_id,
            user_id,
            qty,
            amount,
            attempt_id,
            payment_key,
            approved_at,
        }
    }

    pub(super) fn canceled(&self, refunded: bool) -> PaymentEvent {
        let Request { payment_id, booking_id, concert_id, user_id, qty, amount, .. } = self.request;
        PaymentEvent::PaymentCanceled { payment_id, booking_id, concert_id, user_id, qty, amount, refunded }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{PaymentCommand, state::given::*},
        *,
    };

    fn settle(n: u128, outcome: Outcome) -> PaymentCommand {
        PaymentCommand::Settle { attempt_id: attempt(n), outcome }
    }

    fn yes() -> Outcome {
        Outcome::Approved { approved_at: NOW, payment_key: KEY.to_owned() }
    }

    fn no() -> Outcome {
        Outcome::Declined { code: "REJECT_CARD_PAYMENT".to_owned(), message: "no".to_owned() }
    }

    fn not_done() -> Outcome {
        Outcome::NotDone { reason: "unknown to the provider".to_owned() }
    }

    #[test]
    fn a_try_ends_in_one_of_three_ways() {
        for (outcome, event) in [(yes(), approved(1)), (no(), declined(1)), (not_done(), abandoned(1))] {
            payment().given(vec![requested(), attempted(1)]).when(settle(1, outcome)).then_expect_events(vec![event]);
        }
    }

    #[test]
    fn the_same_outcome_again_has_no_effect() {
        for (outcome, event) in [(yes(), approved(1)), (no(), declined(1)), (not_done(), abandoned(1))] {
            payment().given(vec![requested(), attempted(1), event]).when(settle(1, outcome)).then_expect_events(vec![]);
        }
    }

    #[test]
    fn a_cancellation_that_waited_for_the_try_follows_it() {
        let history = vec![requested(), attempted(1), cancel_requested()];
        payment().given(history.clone()).when(settle(1, no())).then_expect_events(vec![declined(1), canceled(false)]);
        payment()
            .given(history.clone())
            .when(settle(1, not_done()))
            .then_expect_events(vec![abandoned(1), canceled(false)]);
        payment().given(history).when(settle(1, yes())).then_expect_events(vec![approved(1)]);
    }

    #[test]
    fn money_of_a_try_that_was_given_up_is_taken_note_of_and_given_back_where_nobody_wants_it() {
        let given_up = vec![requested(), attempted(1), abandoned(1)];
        payment().given(given_up.clone()).when(settle(1, yes())).then_expect_events(vec![approved(1)]);
        let Request { payment_id, booking_id, .. } = request();
        let reason = PaymentCancelReason::ApprovedTooLate;
        let goes_back = PaymentEvent::PaymentCancelRequested { payment_id, booking_id, reason };
        payment()
            .given([given_up, vec![canceled(false)]].concat())
            .when(settle(1, yes()))
            .then_expect_events(vec![approved(1), goes_back]);
    }

    #[test]
    fn an_outcome_of_another_try_is_refused() {
        for history in
            [vec![requested()], vec![requested(), attempted(1), declined(1)], vec![requested(), attempted(2)]]
        {
            payment().given(history).when(settle(1, yes())).then_expect_error(PaymentError::NotInFlight(attempt(1)));
        }
        payment().given_no_previous_events().when(settle(1, yes())).then_expect_error(PaymentError::NoSuchPayment);
    }
}
