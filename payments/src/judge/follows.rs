//! What follows from what the provider says of a payment when nobody here asked it to do anything.

use aggregates::{AttemptId, BookingId, Payment, PaymentCommand};
use chrono::{DateTime, Utc};

use super::{approved, contradicts, settle};
use crate::{ProviderPayment, ProviderStatus};

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Follows {
    /// Nothing: it is what the log says, or will be found out when it is time.
    Nothing,
    /// The money came: write that down, and look again.
    Settle(PaymentCommand),
    /// Somebody gave it all back, past us: the booking is over, and the payment ends with it.
    CancelBooking(BookingId),
    /// It contradicts the log in a way that no rule is for: a person must look.
    Person(&'static str),
}

/// What follows for `payment` from the provider's knowledge of it.
///
/// That no money was taken is never a reason to do anything: a try may still be on its way, and whether to give it up is
/// for [`due`](super::due) to say.
pub fn follows(payment: &Payment, paid: &ProviderPayment, now: DateTime<Utc>) -> Follows {
    let Some(request) = payment.request() else { return Follows::Nothing };
    if !paid.status.was_charged() {
        return Follows::Nothing;
    }
    if let Some(why) = contradicts(paid, payment) {
        return Follows::Person(why);
    }
    if paid.amount != request.amount {
        // Another amount, and all of it went back.
        return Follows::Nothing;
    }
    let Some(ours) = payment.approved() else {
        return match waiting(payment) {
            Some(attempt) => Follows::Settle(settle(attempt, approved(paid.clone(), now))),
            None => Follows::Person("the provider has taken money that no try of ours can have brought"),
        };
    };
    if ours.payment_key != paid.payment_key {
        return Follows::Person("the provider has taken money under two names for one payment");
    }
    if payment.is_cancel_requested() {
        // The money is on its way back, or there.
        return Follows::Nothing;
    }
    match paid.status {
        ProviderStatus::Canceled => Follows::CancelBooking(request.booking_id),
        ProviderStatus::PartialCanceled => {
            Follows::Person("a part of the money was given back at the provider, past us")
        }
        ProviderStatus::Done
        | ProviderStatus::Ready
        | ProviderStatus::InProgress
        | ProviderStatus::WaitingForDeposit
        | ProviderStatus::Aborted
        | ProviderStatus::Expired => Follows::Nothing,
    }
}

/// Whether the log says of money that has come what the provider is said to say, so that it need not even be asked.
///
/// A log that was read a moment ago serves as well as the newest: an approval is never taken back, and what can follow it, a
/// cancellation of ours, leaves fewer things to do about what is told, never more.
pub fn says_so(payment: &Payment, told: &ProviderPayment, now: DateTime<Utc>) -> bool {
    payment.approved().is_some_and(|ours| ours.payment_key == told.payment_key)
        && told.status.was_charged()
        && follows(payment, told, now) == Follows::Nothing
}

/// The try that money can have come from: the one in flight, or one that was given up.
fn waiting(payment: &Payment) -> Option<AttemptId> {
    let in_flight = payment.in_flight().map(|attempt| attempt.attempt_id);
    in_flight.or_else(|| payment.given_up().map(|refused| refused.attempt_id))
}
