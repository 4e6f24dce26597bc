//! Judgements on payments: what a provider's answer means, and what to do next. Pure and synchronous, so that whoever
//! acts on them (the cashier, the attendant, and the proof that fails every step in turn) acts alike.

mod due;
mod follows;
mod paying;
mod refund;

use aggregates::{AttemptId, Payment, PaymentCommand, PaymentId, payment::Outcome};
use chrono::{DateTime, Utc};
pub use due::{BUYER_SESSION, Due, Found, SETTLE_AFTER, due, found, more_follows, refunded, work_after};
pub use follows::{Follows, follows, says_so};
pub use paying::{Asking, Over, Reading, Step, Writing, keep_away, pay, put_off};
pub use refund::{after_refusals, is_refusal};

use crate::{ProviderPayment, ProviderStatus};

/// The money has moved, and under which of the provider's names.
fn approved(paid: ProviderPayment, now: DateTime<Utc>) -> Outcome {
    Outcome::Approved { approved_at: paid.approved_at.unwrap_or(now), payment_key: paid.payment_key }
}

/// The provider has taken money for `payment`, and as much as was asked.
fn is_charged(paid: &ProviderPayment, payment: &Payment) -> bool {
    paid.status.was_charged() && Some(paid.amount) == payment.request().map(|request| request.amount)
}

/// Why a person must look: the provider holds another amount than was asked. One that it gave back in full is nobody's any
/// more.
fn contradicts(paid: &ProviderPayment, payment: &Payment) -> Option<&'static str> {
    let held = match paid.status {
        ProviderStatus::Done | ProviderStatus::PartialCanceled => true,
        ProviderStatus::Canceled
        | ProviderStatus::Ready
        | ProviderStatus::InProgress
        | ProviderStatus::WaitingForDeposit
        | ProviderStatus::Aborted
        | ProviderStatus::Expired => false,
    };
    let is_other = payment.request().is_some_and(|request| request.amount != paid.amount);
    (held && is_other).then_some("the provider has taken another amount than was asked")
}

const fn settle(attempt_id: AttemptId, outcome: Outcome) -> PaymentCommand {
    PaymentCommand::Settle { attempt_id, outcome }
}

/// Under which name the provider is asked to pay back: always the same, so it pays back once.
fn refund_key(payment: PaymentId) -> AttemptId {
    AttemptId::refund(payment)
}

#[cfg(test)]
mod tests;
