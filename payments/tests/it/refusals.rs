//! Refunds that the provider refuses: for certain, they go on under another key; in doubt, under the same.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use aggregates::{AttemptId, PaymentId, PaymentStatus};
use futures::future::{BoxFuture, FutureExt};
use payments::{Cancel, Confirm, Provider, ProviderError, ProviderPayment, ProviderResult, due::Attendant};
use reqwest::Method;
use serde_json::json;

use crate::{
    due::{note_all, paid_in_vain},
    till::{PRICE, Till},
};

/// A provider that refuses refunds for certain, and remembers that under their keys.
struct Refusing {
    inner: Arc<dyn Provider>,
    /// Further refusals.
    left: AtomicUsize,
    /// Whether it pays back all the same.
    lies: bool,
    /// The key of each call.
    keys: Mutex<Vec<AttemptId>>,
    refused: Mutex<HashSet<AttemptId>>,
}

impl Refusing {
    fn new(till: &Till, left: usize, lies: bool) -> Arc<Self> {
        let (keys, refused) = (Mutex::default(), Mutex::default());
        Arc::new(Self { inner: till.provider(), left: AtomicUsize::new(left), lies, keys, refused })
    }

    /// The keys it was called by, one for each as often as it came in a row.
    fn calls(&self) -> Vec<usize> {
        let keys = self.keys.lock().unwrap();
        let in_a_row: Vec<_> = keys.chunk_by(|a, b| a == b).collect();
        let distinct: HashSet<_> = keys.iter().collect();
        assert_eq!(in_a_row.len(), distinct.len(), "a key that was left came back: {keys:?}");
        in_a_row.iter().map(|calls| calls.len()).collect()
    }
}

impl Provider for Refusing {
    fn confirm(&self, confirm: Confirm) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        self.inner.confirm(confirm)
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        let key = cancel.idempotency_key;
        self.keys.lock().unwrap().push(key);
        let refuses = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let is_remembered = self.refused.lock().unwrap().contains(&key);
        async move {
            if !refuses && !is_remembered {
                return self.inner.cancel(cancel).await;
            }
            self.refused.lock().unwrap().insert(key);
            if self.lies {
                self.inner.cancel(cancel).await?;
            }
            Err(ProviderError::Declined { code: "NOT_CANCELABLE_PAYMENT".into(), message: "not today".into() })
        }
        .boxed()
    }

    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>> {
        self.inner.lookup_order(order_id)
    }

    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>> {
        self.inner.lookup_key(payment_key)
    }
}

#[tokio::test]
async fn a_refund_that_was_refused_for_certain_is_tried_under_another_key() {
    let till = Till::open().await;
    let payment = paid_in_vain(&till).await;
    let provider = Refusing::new(&till, 2, false);
    let attendant = Attendant::new(till.journal.clone(), Arc::clone(&provider) as Arc<dyn Provider>);
    for _ in 0..3 {
        note_all(&till).await;
        attendant.round().await.unwrap();
    }
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentCanceled));
    assert_eq!(provider.calls(), [1, 1, 1]);
    assert_eq!((till.desk.counts().refunded, till.desk.counts().cancellations), (PRICE, 1));
}

#[tokio::test]
async fn a_refund_in_doubt_keeps_its_key_and_what_was_refused_keeps_none() {
    let till = Till::open().await;
    let payment = paid_in_vain(&till).await;
    let provider = Refusing::new(&till, 1, false);
    let attendant = Attendant::new(till.journal.clone(), Arc::clone(&provider) as Arc<dyn Provider>);
    // Refused; no answer, not taken at all, an answer lost on its way; through.
    for faults in
        [json!({}), json!({"failRate": 1.0}), json!({"failRate": 1.0}), json!({"loseAnswerRate": 1.0}), json!({})]
    {
        till.desk.sim(Method::DELETE, "").await;
        till.desk.fault(faults).await;
        note_all(&till).await;
        attendant.round().await.unwrap();
    }
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentCanceled));
    assert_eq!(provider.calls(), [1, 4]);
}

#[tokio::test]
async fn another_key_never_pays_back_twice_even_where_the_refusal_was_none() {
    let till = Till::open().await;
    let payment = paid_in_vain(&till).await;
    let provider = Refusing::new(&till, 1, true);
    let attendant = Attendant::new(till.journal.clone(), Arc::clone(&provider) as Arc<dyn Provider>);
    for _ in 0..2 {
        note_all(&till).await;
        attendant.round().await.unwrap();
    }
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentCanceled));
    assert_eq!(provider.calls(), [1, 1]);
    let counts = till.desk.counts();
    assert_eq!((counts.charged, counts.refunded, counts.money_movements), (PRICE, PRICE, 2));
}
