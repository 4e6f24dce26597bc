//! Judgements on payments: what a provider's answer means, and what to do next. Pure and synchronous, so that whoever
//! acts on them (the cashier, the attendant, and the proof that fails every step in turn) acts alike.

mod due;
mod follows;
mod paying;
mod refund;

use aggregates::{AttemptId, Payment, PaymentCommand, PaymentId, payment::Outcome};
use chrono::{DateTime, Utc};
pub use due::{BUYER_SESSION, Due, Found, SETTLE_AFTER, due, found, refunded, work_after};
pub use follows::{Follows, follows};
pub use paying::{Asking, Over, Reading, Step, Writing, pay, put_off};
pub use refund::{after_refusals, is_refusal};

use crate::ProviderPayment;

/// The money has moved, and under which of the provider's names.
fn approved(paid: ProviderPayment, now: DateTime<Utc>) -> Outcome {
    Outcome::Approved { approved_at: paid.approved_at.unwrap_or(now), payment_key: paid.payment_key }
}

/// The provider has taken money for `payment`, and as much as was asked.
fn is_charged(paid: &ProviderPayment, payment: &Payment) -> bool {
    paid.status.was_charged() && Some(paid.amount) == payment.request().map(|request| request.amount)
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
