//! A provider behind two doors that a test opens: before a call has its effect, and before its answer arrives.

use aggregates::PaymentId;
use futures::{FutureExt, future::BoxFuture};
use payments::{Cancel, Confirm, Provider, ProviderPayment, ProviderResult, TossProvider};
use stack::testing::Door;

pub struct Gated {
    toss: TossProvider,
    pub before: Door,
    pub after: Door,
    /// Before a refund has its effect.
    pub refunds: Door,
}

impl Gated {
    pub fn new(toss: TossProvider) -> Self {
        Self { toss, before: Door::default(), after: Door::default(), refunds: Door::default() }
    }
}

impl Provider for Gated {
    fn confirm(&self, confirm: Confirm) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        async move {
            self.before.pass().await;
            let answer = self.toss.confirm(confirm).await;
            self.after.pass().await;
            answer
        }
        .boxed()
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        async move {
            self.refunds.pass().await;
            self.toss.cancel(cancel).await
        }
        .boxed()
    }

    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>> {
        self.toss.lookup_order(order_id)
    }

    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>> {
        self.toss.lookup_key(payment_key)
    }
}
