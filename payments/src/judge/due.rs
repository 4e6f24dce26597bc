//! What must still be done for a payment, as its state says; and what follows from how that ends.

use aggregates::{Payment, PaymentCommand, PaymentEvent, PaymentId, payment::Outcome};
use chrono::{DateTime, Duration, Utc};

use super::{approved, contradicts, is_charged, refund_key, settle};
use crate::{Cancel, ProviderError, ProviderPayment, ProviderResult, ProviderStatus, due::Kind};

/// A try without an outcome is looked into when it is older than this: far more than any call to the provider may take.
pub const SETTLE_AFTER: Duration = Duration::seconds(10);
/// After this the provider takes no money under a payment key any more: Toss Payments gives the buyer 10 minutes, and we
/// wait a little longer.
pub const BUYER_SESSION: Duration = Duration::minutes(11);
/// Money that shall go back is not kept.
const AT_ONCE: Duration = Duration::zero();
/// How long a refund waits for the try in flight to be settled, before it looks again.
const WAIT_FOR_SETTLING: Duration = Duration::milliseconds(500);
/// What the buyer reads on a statement beside a refund.
const REFUND_REASON: &str = "booking cancelled";

/// What an event makes of the work for its payment: a kind of it is due so long after the event, or not any more.
pub const fn work_after(event: &PaymentEvent) -> &'static [(Kind, Option<Duration>)] {
    match event {
        PaymentEvent::PaymentRequested { .. } | PaymentEvent::PaymentPutOff { .. } => &[],
        PaymentEvent::PaymentAttempted { .. } => &[(Kind::Settle, Some(SETTLE_AFTER))],
        PaymentEvent::PaymentDeclined { .. } | PaymentEvent::PaymentApproved { .. } => &[(Kind::Settle, None)],
        PaymentEvent::PaymentAttemptAbandoned { .. } => &[(Kind::Settle, None), (Kind::Verify, Some(BUYER_SESSION))],
        PaymentEvent::PaymentCancelRequested { .. } => &[(Kind::Refund, Some(AT_ONCE))],
        PaymentEvent::PaymentCanceled { .. } => &[(Kind::Settle, None), (Kind::Refund, None)],
    }
}

/// What to do about work that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing: it is done already.
    Nothing,
    /// It is too early to say; look again after this.
    NotYet(Duration),
    /// Ask the provider what it knows of the payment, and then [`found`].
    LookUp,
    /// Send the money back, and then [`refunded`].
    Refund(Cancel),
}

/// What to do about work of this kind for `payment`, which is `state` now.
pub fn due(kind: Kind, payment: PaymentId, state: &Payment, now: DateTime<Utc>) -> Due {
    match (kind, state.in_flight()) {
        (Kind::Settle, Some(attempt)) => {
            let age = now - attempt.attempted_at;
            // It may still be on its way.
            if age < SETTLE_AFTER { Due::NotYet(SETTLE_AFTER - age) } else { Due::LookUp }
        }
        // Whether there is money to send back, or other money than expected, shows when the try is settled.
        (Kind::Refund | Kind::Verify, Some(_)) => Due::NotYet(WAIT_FOR_SETTLING),
        (Kind::Refund, None) => state.refund_due().map_or(Due::Nothing, |money| {
            Due::Refund(Cancel {
                payment_key: money.payment_key.clone(),
                reason: REFUND_REASON.to_owned(),
                idempotency_key: refund_key(payment),
            })
        }),
        // Whether money came for a try that was given up; or whether more follows for money that came.
        (Kind::Verify, None) if state.given_up().is_some() && state.approved().is_none() => Due::LookUp,
        (Kind::Verify, None) if state.approved().is_some() && !state.is_cancel_requested() => Due::LookUp,
        (Kind::Settle | Kind::Verify, None) => Due::Nothing,
    }
}

/// What a lookup has brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing that was not known.
    Nothing,
    /// What became of the try in flight.
    Outcome(PaymentCommand),
    /// Money for a try that was given up: a provider that was very slow has taken it after all.
    LateMoney(PaymentCommand),
    /// Money, but not what was asked for: a person must look.
    Person(&'static str),
}

/// Whether more follows from the provider's knowledge than that the money came: some of it went back already.
pub fn more_follows(paid: &ProviderPayment) -> bool {
    paid.status.was_charged() && paid.status != ProviderStatus::Done
}

/// What the provider's knowledge of a payment means for work that wanted to know.
pub fn found(kind: Kind, state: &Payment, found: Option<ProviderPayment>, now: DateTime<Utc>) -> Found {
    if let Some(why) = found.as_ref().and_then(|paid| contradicts(paid, state)) {
        return match kind {
            // The try stays open, and its tickets held: nobody can say that no money came.
            Kind::Settle | Kind::Verify => Found::Person(why),
            Kind::Refund => Found::Nothing,
        };
    }
    let came_and_went = found.as_ref().is_some_and(|paid| paid.status.was_charged());
    let charged = found.filter(|paid| is_charged(paid, state)).map(|paid| approved(paid, now));
    match (kind, state.in_flight(), state.given_up(), charged) {
        (Kind::Settle, Some(attempt), _, charged) => {
            let reason = if came_and_went {
                "the provider took another amount, and gave all of it back"
            } else {
                "the provider knows of no money"
            };
            let not_done = || Outcome::NotDone { reason: reason.to_owned() };
            Found::Outcome(settle(attempt.attempt_id, charged.unwrap_or_else(not_done)))
        }
        (Kind::Verify, None, Some(given_up), Some(outcome)) if state.approved().is_none() => {
            Found::LateMoney(settle(given_up.attempt_id, outcome))
        }
        (Kind::Settle | Kind::Refund | Kind::Verify, ..) => Found::Nothing,
    }
}

/// What to write down once the provider was asked to pay back; the error where that must be tried again.
pub fn refunded(answer: ProviderResult<ProviderPayment>) -> Result<PaymentCommand, ProviderError> {
    match answer {
        Ok(_) | Err(ProviderError::AlreadyProcessed) => Ok(PaymentCommand::Refunded),
        Err(error) => Err(error),
    }
}
