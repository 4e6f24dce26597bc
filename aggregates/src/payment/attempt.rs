//! Intent before effect: a try is in the journal before the provider hears of it, and there is one at a time.

use chrono::{DateTime, Utc};

use super::{Payment, PaymentError, PaymentEvent, PaymentStatus};
use crate::AttemptId;

/// Tries of one payment that the provider declines, at most.
pub const DECLINES_MAX: usize = 20;
/// Tries of one payment, at most, whatever became of them.
pub const ATTEMPTS_MAX: usize = 200;
/// Characters in the provider's payment key, at most (Toss Payments: 200).
pub const PAYMENT_KEY_CHARS_MAX: usize = 200;

/// Whether `key` can be the provider's name for a payment.
pub fn is_payment_key(key: &str) -> bool {
    let visible = |c: char| !c.is_whitespace() && !c.is_control();
    (1..=PAYMENT_KEY_CHARS_MAX).contains(&key.chars().count()) && key.chars().all(visible) && !matches!(key, "." | "..")
}

impl Payment {
    pub(super) fn attempt(
        &self,
        attempt_id: AttemptId,
        payment_key: String,
        now: DateTime<Utc>,
    ) -> Result<Vec<PaymentEvent>, PaymentError> {
        let requested = self.known()?;
        if requested.status == PaymentStatus::PaymentApproved {
            return Err(PaymentError::AlreadyApproved);
        }
        if requested.ending {
            return Err(PaymentError::Canceled);
        }
        if self.refused(attempt_id).is_some() {
            return Ok(Vec::new());
        }
        if let Some(attempt) = &requested.in_flight {
            let same = attempt.attempt_id == attempt_id;
            return if same { Ok(Vec::new()) } else { Err(PaymentError::AttemptInFlight(attempt.attempt_id)) };
        }
        if now >= requested.expires_at {
            return Err(PaymentError::Expired(requested.expires_at));
        }
        let declined = requested.refused.iter().filter(|refused| refused.code.is_some()).count();
        if declined >= DECLINES_MAX || requested.refused.len() >= ATTEMPTS_MAX {
            return Err(PaymentError::TooManyAttempts);
        }
        if !is_payment_key(&payment_key) {
            return Err(PaymentError::PaymentKeyOutOfRange);
        }
        Ok(vec![PaymentEvent::PaymentAttempted {
            payment_id: requested.request.payment_id,
            booking_id: requested.request.booking_id,
            attempt_id,
            payment_key,
            attempted_at: now,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{PaymentCommand, state::given::*},
        *,
    };

    fn attempt_at(n: u128, now: DateTime<Utc>) -> PaymentCommand {
        PaymentCommand::Attempt { attempt_id: attempt(n), payment_key: KEY.to_owned(), now }
    }

    #[test]
    fn a_requested_payment_is_tried() {
        payment().given(vec![requested()]).when(attempt_at(1, NOW)).then_expect_events(vec![attempted(1)]);
    }

    #[test]
    fn a_declined_or_abandoned_payment_is_tried_again() {
        for outcome in [declined(1), abandoned(1)] {
            let history = vec![requested(), attempted(1), outcome];
            payment().given(history).when(attempt_at(2, NOW)).then_expect_events(vec![attempted(2)]);
        }
    }

    #[test]
    fn the_same_try_again_has_no_effect() {
        payment().given(vec![requested(), attempted(1)]).when(attempt_at(1, NOW)).then_expect_events(vec![]);
        let settled = vec![requested(), attempted(1), declined(1)];
        payment().given(settled).when(attempt_at(1, NOW)).then_expect_events(vec![]);
    }

    #[test]
    fn tries_are_refused_when_they_cannot_succeed() {
        let late = request().expires_at;
        let declined_often: Vec<_> = (1..=DECLINES_MAX as u128).flat_map(|n| [attempted(n), declined(n)]).collect();
        let tried_often: Vec<_> = (1..=ATTEMPTS_MAX as u128).flat_map(|n| [attempted(n), abandoned(n)]).collect();
        for (history, now, error) in [
            (vec![], NOW, PaymentError::NoSuchPayment),
            (vec![requested(), attempted(1), approved(1)], NOW, PaymentError::AlreadyApproved),
            (vec![requested(), canceled(false)], NOW, PaymentError::Canceled),
            (vec![requested(), attempted(1), cancel_requested()], NOW, PaymentError::Canceled),
            (vec![requested(), attempted(1)], NOW, PaymentError::AttemptInFlight(attempt(1))),
            (vec![requested()], late, PaymentError::Expired(late)),
            ([vec![requested()], declined_often].concat(), NOW, PaymentError::TooManyAttempts),
            ([vec![requested()], tried_often].concat(), NOW, PaymentError::TooManyAttempts),
        ] {
            payment().given(history).when(attempt_at(9_999, now)).then_expect_error(error);
        }
    }

    #[test]
    fn a_payment_key_has_a_length_and_visible_characters() {
        let wrong = ["", ".", "..", "a b", "a\u{0}"].map(str::to_owned);
        for payment_key in wrong.into_iter().chain(["k".repeat(PAYMENT_KEY_CHARS_MAX + 1)]) {
            payment()
                .given(vec![requested()])
                .when(PaymentCommand::Attempt { attempt_id: attempt(1), payment_key, now: NOW })
                .then_expect_error(PaymentError::PaymentKeyOutOfRange);
        }
    }
}
