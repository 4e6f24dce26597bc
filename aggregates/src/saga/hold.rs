//! What the deadline of a hold means, when it has come: a pure function of the booking and its payment.

use chrono::{DateTime, Duration, Utc};

use crate::{Booking, BookingStatus, Payment, PaymentStatus};

/// After how long to look again at a hold that cannot end yet: somebody is paying, or the payment is on its way.
const LOOK_AGAIN: Duration = Duration::seconds(1);

/// What is due for a hold now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldVerdict {
    /// It ends: the booking expires, and its payment with it.
    Expire,
    /// It cannot end yet; look again then.
    NotBefore(DateTime<Utc>),
    /// It has ended, or is paid: the deadline means nothing any more.
    Over,
}

/// What is due at `now` for the tickets that `booking` holds until `payment` is paid. Never ends a hold while a try to
/// pay is in flight.
pub fn hold_verdict(booking: &Booking, payment: &Payment, now: DateTime<Utc>) -> HoldVerdict {
    if booking.status() != Some(BookingStatus::BookingRequested) {
        return HoldVerdict::Over;
    }
    match (payment.status(), payment.expires_at()) {
        (Some(PaymentStatus::PaymentRequested), Some(at)) if at > now => HoldVerdict::NotBefore(at),
        (Some(PaymentStatus::PaymentRequested), _) if payment.in_flight().is_some() => {
            HoldVerdict::NotBefore(now + LOOK_AGAIN)
        }
        (Some(PaymentStatus::PaymentRequested), _) => HoldVerdict::Expire,
        // Paid: the booking is about to be approved. Or ended: its tickets are about to be released.
        (Some(PaymentStatus::PaymentApproved | PaymentStatus::PaymentCanceled), _) => HoldVerdict::Over,
        // The tickets are held, and the saga is about to request the payment.
        (None, _) => HoldVerdict::NotBefore(now + LOOK_AGAIN),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        AttemptId, BookingEvent, BookingId, ConcertId, Money, PaymentCommand, PaymentEvent, PaymentId, Qty, UserId,
        payment::{Outcome, PaymentCancelReason, Request},
    };

    const BOOKING: BookingId = BookingId(Uuid::from_u128(1));
    const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(0);
    const END: DateTime<Utc> = DateTime::from_timestamp_nanos(1_000_000_000);

    fn requested() -> Booking {
        let (concert_id, user_id, qty) = (ConcertId(Uuid::nil()), UserId(Uuid::nil()), Qty::new(1).unwrap());
        let mut booking = Booking::default();
        cqrs_es::Aggregate::apply(
            &mut booking,
            BookingEvent::BookingRequested { booking_id: BOOKING, concert_id, user_id, qty },
        );
        booking
    }

    fn payment(commands: impl IntoIterator<Item = PaymentCommand>) -> Payment {
        let request = Request {
            payment_id: PaymentId::of(BOOKING),
            booking_id: BOOKING,
            concert_id: ConcertId(Uuid::nil()),
            user_id: UserId(Uuid::nil()),
            qty: Qty::new(1).unwrap(),
            amount: Money::krw(1_000),
            expires_at: END,
        };
        let mut payment = Payment::default();
        for command in [PaymentCommand::Request(request)].into_iter().chain(commands) {
            let events: Vec<PaymentEvent> = payment.decide(command).unwrap();
            for event in events {
                cqrs_es::Aggregate::apply(&mut payment, event);
            }
        }
        payment
    }

    fn attempt() -> PaymentCommand {
        let attempt_id = AttemptId(Uuid::nil());
        PaymentCommand::Attempt { attempt_id, payment_key: "k".to_owned(), now: NOW }
    }

    fn settle(outcome: Outcome) -> PaymentCommand {
        PaymentCommand::Settle { attempt_id: AttemptId(Uuid::nil()), outcome }
    }

    #[test]
    fn an_unpaid_hold_ends_at_its_deadline() {
        assert_eq!(hold_verdict(&requested(), &payment([]), NOW), HoldVerdict::NotBefore(END));
        assert_eq!(hold_verdict(&requested(), &payment([]), END), HoldVerdict::Expire);
        let declined = Outcome::Declined { code: "NO".to_owned(), message: String::new() };
        assert_eq!(hold_verdict(&requested(), &payment([attempt(), settle(declined)]), END), HoldVerdict::Expire);
    }

    #[test]
    fn a_hold_does_not_end_while_somebody_is_paying_or_before_the_payment_is_there() {
        let again = HoldVerdict::NotBefore(END + LOOK_AGAIN);
        assert_eq!(hold_verdict(&requested(), &payment([attempt()]), END), again);
        assert_eq!(hold_verdict(&requested(), &Payment::default(), END), again);
    }

    #[test]
    fn a_payment_that_was_put_off_keeps_the_hold() {
        let late = END - Duration::milliseconds(100);
        let put_off = payment([PaymentCommand::PutOff { now: late }]);
        let HoldVerdict::NotBefore(until) = hold_verdict(&requested(), &put_off, END) else { panic!("it ended") };
        assert_eq!(until, late + crate::payment::PUT_OFF_GRACE);
        assert_eq!(hold_verdict(&requested(), &put_off, until), HoldVerdict::Expire);
    }

    #[test]
    fn what_is_paid_or_over_does_not_care() {
        let paid = Outcome::Approved { approved_at: NOW, payment_key: "k".to_owned() };
        let canceled = PaymentCommand::Cancel { reason: PaymentCancelReason::BookingCanceled };
        for payment in [payment([attempt(), settle(paid)]), payment([canceled])] {
            assert_eq!(hold_verdict(&requested(), &payment, END), HoldVerdict::Over);
        }
        assert_eq!(hold_verdict(&Booking::default(), &payment([]), END), HoldVerdict::Over);
    }
}
