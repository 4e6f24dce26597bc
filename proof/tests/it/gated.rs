//! The product's adapter behind two doors that a test opens: before a confirmation has its effect, and before its answer
//! arrives.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aggregates::PaymentId;
use futures::{FutureExt, future::BoxFuture};
use payments::{Cancel, Confirm, Provider, ProviderPayment, ProviderResult, TossProvider};
use tokio::sync::Semaphore;

/// How long a test waits for somebody at a door.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A door for confirmations; open, until it is shut.
pub struct Door {
    shut: AtomicBool,
    waiting: Semaphore,
    passes: Semaphore,
}

pub struct Gated {
    pub toss: TossProvider,
    pub before: Door,
    pub after: Door,
}

impl Door {
    fn new() -> Self {
        Self { shut: AtomicBool::new(false), waiting: Semaphore::new(0), passes: Semaphore::new(0) }
    }

    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Waits until somebody stands before it, who then counts as seen.
    pub async fn somebody(&self) {
        let waiting = tokio::time::timeout(WAIT_MAX, self.waiting.acquire()).await;
        waiting.expect("somebody at the door").unwrap().forget();
    }

    /// Lets one through.
    pub fn let_one_through(&self) {
        self.passes.add_permits(1);
    }

    async fn pass(&self) {
        if self.shut.load(Ordering::SeqCst) {
            self.waiting.add_permits(1);
            self.passes.acquire().await.unwrap().forget();
        }
    }
}

impl Gated {
    pub fn new(toss: TossProvider) -> Self {
        Self { toss, before: Door::new(), after: Door::new() }
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
        self.toss.cancel(cancel)
    }

    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>> {
        self.toss.lookup_order(order_id)
    }

    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>> {
        self.toss.lookup_key(payment_key)
    }
}
