//! The provider's books, and ours.

use aggregates::PaymentEvent;
use reqwest::Method;

use super::{Boxoffice, Client, Log};

impl Boxoffice {
    /// Its payment provider's simulator.
    pub fn provider(&self) -> Client {
        Client::new(self.setting("PROVIDER_URL"))
    }
}

impl Client {
    /// Sets faults of a provider's simulator.
    pub async fn set_faults(&self, faults: serde_json::Value) {
        self.send(self.request(Method::PUT, "/_sim").json(&faults)).await.ok(200);
    }
}

/// What the journal says was taken and given back, in won.
fn journaled(log: &Log) -> (u64, u64) {
    log.payments().fold((0, 0), |(charged, refunded), event| match event {
        PaymentEvent::PaymentApproved { amount, .. } => (charged + amount.amount, refunded),
        PaymentEvent::PaymentCanceled { amount, refunded: true, .. } => (charged, refunded + amount.amount),
        PaymentEvent::PaymentCanceled { refunded: false, .. }
        | PaymentEvent::PaymentRequested { .. }
        | PaymentEvent::PaymentAttempted { .. }
        | PaymentEvent::PaymentDeclined { .. }
        | PaymentEvent::PaymentAttemptAbandoned { .. }
        | PaymentEvent::PaymentPutOff { .. }
        | PaymentEvent::PaymentCancelRequested { .. } => (charged, refunded),
    })
}

/// Once nothing is under way any more, the provider has moved just the money that the log says; how much it took and gave
/// back, in won.
pub async fn assert_books_agree(system: &Boxoffice) -> (u64, u64) {
    let log = Log::settled(&system.postgres().await).await;
    let books = system.provider().get("/_sim").await.ok(200);
    let moved = (books.number_at("/charged"), books.number_at("/refunded"));
    assert_eq!(moved, journaled(&log), "the provider's books, and ours");
    let refunds = log.payments().filter(|event| matches!(event, PaymentEvent::PaymentCanceled { refunded: true, .. }));
    let movements = log.count("PaymentApproved") + refunds.count();
    assert_eq!(books.number_at("/moneyMovements"), movements as u64);
    moved
}
