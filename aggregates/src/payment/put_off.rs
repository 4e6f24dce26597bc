//! The provider is overloaded, so whoever wanted to pay is sent away for a moment. The tickets are kept long enough for
//! the next try, but not for ever.

use chrono::{DateTime, Duration, Utc};

use super::{Payment, PaymentError, PaymentEvent, PaymentStatus, Request};

/// Whoever was sent away has at least this long to come back.
pub const PUT_OFF_GRACE: Duration = Duration::seconds(60);
/// How far the time to pay can be put off in all, however often somebody is sent away.
pub const PUT_OFF_MAX: Duration = Duration::minutes(10);

impl Payment {
    pub(super) fn put_off(&self, now: DateTime<Utc>) -> Result<Vec<PaymentEvent>, PaymentError> {
        let requested = self.known()?;
        // An attempt in flight keeps the tickets past the deadline: its payer was sent away as well.
        let over = now >= requested.expires_at && requested.in_flight.is_none();
        if requested.status != PaymentStatus::PaymentRequested || requested.ending || over {
            return Ok(Vec::new());
        }
        let Request { payment_id, booking_id, expires_at: first, .. } = requested.request;
        let expires_at = (now + PUT_OFF_GRACE).min(first + PUT_OFF_MAX);
        // Written only where it helps: a crowd that is sent away at once must not fill the log.
        if requested.expires_at - now > PUT_OFF_GRACE / 2 || expires_at <= requested.expires_at {
            return Ok(Vec::new());
        }
        Ok(vec![PaymentEvent::PaymentPutOff { payment_id, booking_id, expires_at }])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{PaymentCommand, state::given::*},
        *,
    };

    fn put_off(now: DateTime<Utc>) -> PaymentCommand {
        PaymentCommand::PutOff { now }
    }

    fn until(expires_at: DateTime<Utc>) -> PaymentEvent {
        let Request { payment_id, booking_id, .. } = request();
        PaymentEvent::PaymentPutOff { payment_id, booking_id, expires_at }
    }

    #[test]
    fn with_little_time_left_there_is_more() {
        let now = request().expires_at - Duration::seconds(5);
        payment().given(vec![requested()]).when(put_off(now)).then_expect_events(vec![until(now + PUT_OFF_GRACE)]);
        let trying = vec![requested(), attempted(1)];
        let late = request().expires_at + Duration::seconds(1);
        payment().given(trying).when(put_off(late)).then_expect_events(vec![until(late + PUT_OFF_GRACE)]);
    }

    #[test]
    fn one_can_pay_until_then() {
        let now = request().expires_at - Duration::seconds(5);
        let then = request().expires_at + Duration::seconds(5);
        let attempt = PaymentCommand::Attempt { attempt_id: attempt(1), payment_key: KEY.to_owned(), now: then };
        let history = vec![requested(), until(now + PUT_OFF_GRACE)];
        let Request { payment_id, booking_id, .. } = request();
        let attempt_id = super::super::state::given::attempt(1);
        payment().given(history).when(attempt).then_expect_events(vec![PaymentEvent::PaymentAttempted {
            payment_id,
            booking_id,
            attempt_id,
            payment_key: KEY.to_owned(),
            attempted_at: then,
        }]);
    }

    #[test]
    fn with_time_enough_nothing_is_written() {
        payment().given(vec![requested()]).when(put_off(NOW)).then_expect_events(vec![]);
        let now = request().expires_at - Duration::seconds(5);
        let history = vec![requested(), until(now + PUT_OFF_GRACE)];
        payment().given(history).when(put_off(now + Duration::seconds(2))).then_expect_events(vec![]);
    }

    #[test]
    fn nobody_holds_tickets_for_ever() {
        let last = request().expires_at + PUT_OFF_MAX;
        let near = last - Duration::seconds(10);
        let history = vec![requested(), until(near)];
        payment()
            .given(history.clone())
            .when(put_off(near - Duration::seconds(1)))
            .then_expect_events(vec![until(last)]);
        let history = [history, vec![until(last)]].concat();
        payment().given(history).when(put_off(last - Duration::seconds(1))).then_expect_events(vec![]);
    }

    #[test]
    fn what_is_over_is_not_put_off() {
        let late = request().expires_at;
        let soon = late - Duration::seconds(5);
        for (history, now) in [
            (vec![requested()], late),
            (vec![requested(), attempted(1), approved(1)], soon),
            (vec![requested(), canceled(false)], soon),
            (vec![requested(), attempted(1), cancel_requested()], soon),
        ] {
            payment().given(history).when(put_off(now)).then_expect_events(vec![]);
        }
        payment().given_no_previous_events().when(put_off(NOW)).then_expect_error(PaymentError::NoSuchPayment);
    }
}
