//! Counts and times every call of the provider, whoever makes it.

use std::time::Instant;

use aggregates::PaymentId;
use futures::{FutureExt, future::BoxFuture};

use crate::{Cancel, Confirm, Doubt, Provider, ProviderError, ProviderPayment, ProviderResult};

/// A provider whose calls are measured: `payments_provider_calls_total`, by call and outcome, and
/// `payments_provider_seconds`, by call.
pub struct Metered<P>(pub P);

impl<P: Provider> Provider for Metered<P> {
    fn confirm(&self, confirm: Confirm) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        measured("confirm", self.0.confirm(confirm)).boxed()
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        measured("cancel", self.0.cancel(cancel)).boxed()
    }

    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>> {
        measured("lookup", self.0.lookup_order(order_id)).boxed()
    }

    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>> {
        measured("lookup", self.0.lookup_key(payment_key)).boxed()
    }
}

/// A call that is dropped before its end is not counted: the adapter ends each within its own time limit.
async fn measured<T>(call: &'static str, work: impl Future<Output = ProviderResult<T>>) -> ProviderResult<T> {
    let begun = Instant::now();
    let outcome = work.await;
    metrics::histogram!("payments_provider_seconds", "call" => call).record(begun.elapsed().as_secs_f64());
    let name = outcome.as_ref().map_or_else(ending, |_| "answered");
    metrics::counter!("payments_provider_calls_total", "call" => call, "outcome" => name).increment(1);
    outcome
}

const fn ending(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Declined { .. } => "declined",
        ProviderError::AlreadyProcessed => "already processed",
        ProviderError::NotFound => "not found",
        ProviderError::Busy => "busy",
        ProviderError::Unreachable(_) => "unreachable",
        ProviderError::Unauthorized { .. } => "unauthorized",
        ProviderError::Rejected { .. } => "rejected",
        ProviderError::Unknown(Doubt::Timeout) => "timeout",
        ProviderError::Unknown(Doubt::Lost(_)) => "lost",
        ProviderError::Unknown(Doubt::Fault { .. }) => "fault",
        ProviderError::Unknown(Doubt::Unclear { .. }) => "unclear",
        ProviderError::Unknown(Doubt::Unreadable(_)) => "unreadable",
        ProviderError::Unknown(Doubt::Contradiction(_)) => "contradiction",
    }
}
