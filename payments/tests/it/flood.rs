//! Webhooks that somebody makes up, more than are kept.

use std::{collections::BTreeSet, sync::Arc};

use aggregates::{AttemptId, BookingStatus, PaymentId};
use futures::future::{BoxFuture, FutureExt};
use payments::{
    Cancel, Confirm, Provider, ProviderPayment, ProviderResult,
    webhooks::{CHANGES_MAX, Heeder, Inbox, Taken},
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    inbox::{EVENT, booking_of, booking_status, give_back, heeder, inbox, make_due, pay, rows, told},
    till::Till,
};

/// More changes than are kept, as somebody might make up.
async fn flood(inbox: &Inbox, payment: PaymentId, attempt: AttemptId) {
    for n in 0..CHANGES_MAX {
        let data = told(payment, attempt, &format!("MADE_UP_{n}"));
        assert_eq!(inbox.take(EVENT, &data).await.unwrap(), Taken::Stored);
    }
}

#[tokio::test]
async fn whoever_floods_us_fills_no_disk_and_hides_no_truth() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = pay(&till).await;
    let booking = booking_of(&till, payment).await;
    let calls = till.desk.counts().calls;
    flood(&inbox, payment, attempt).await;
    heeder(&till).round().await.unwrap();
    assert_eq!(till.desk.counts().calls, calls + 1, "one question answers them all");

    // Now the true one has no room, and is heeded all the same; and what else comes before that changes nothing.
    give_back(&till, attempt, json!({"cancelReason": "in the dashboard"})).await;
    let calls = till.desk.counts().calls;
    for status in ["CANCELED", "MADE_UP_1000", "MADE_UP_1001"] {
        assert_eq!(inbox.take(EVENT, &told(payment, attempt, status)).await.unwrap(), Taken::TooMany);
    }
    assert_eq!(rows(&till).await.len(), usize::try_from(CHANGES_MAX).unwrap());
    assert!(!heeder(&till).round().await.unwrap(), "not at once, so that a flood is no flood of questions");
    make_due(&till).await;
    heeder(&till).round().await.unwrap();
    assert_eq!(till.desk.counts().calls, calls + 1);
    assert!(rows(&till).await.iter().all(|row| row.heeded));
    assert_eq!(booking_status(&till, booking).await, Some(BookingStatus::BookingCanceled));
}

/// A provider that answers a lookup only when told to.
struct Gated {
    inner: Arc<dyn Provider>,
    asked: Semaphore,
    answer: Semaphore,
}

impl Provider for Gated {
    fn confirm(&self, confirm: Confirm) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        self.inner.confirm(confirm)
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        self.inner.cancel(cancel)
    }

    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>> {
        async move {
            let found = self.inner.lookup_order(order_id).await;
            self.asked.add_permits(1);
            self.answer.acquire().await.unwrap().forget();
            found
        }
        .boxed()
    }

    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>> {
        self.inner.lookup_key(payment_key)
    }
}

#[tokio::test]
async fn what_is_told_while_the_provider_is_being_asked_is_heeded_as_well() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = pay(&till).await;
    let booking = booking_of(&till, payment).await;
    flood(&inbox, payment, attempt).await;
    let gated = Arc::new(Gated { inner: till.provider(), asked: Semaphore::new(0), answer: Semaphore::new(0) });
    let heeder = Heeder::new(till.journal.clone(), Arc::clone(&gated) as Arc<dyn Provider>);
    let telling = async {
        gated.asked.acquire().await.unwrap().forget();
        // The answer that is under way knows nothing of this.
        give_back(&till, attempt, json!({"cancelReason": "in the dashboard"})).await;
        assert_eq!(inbox.take(EVENT, &told(payment, attempt, "CANCELED")).await.unwrap(), Taken::TooMany);
        gated.answer.add_permits(2);
    };
    let (round, ()) = tokio::join!(heeder.round(), telling);
    round.unwrap();
    let unheeded: BTreeSet<_> = rows(&till).await.into_iter().filter(|row| !row.heeded).map(|row| row.status).collect();
    assert_eq!(unheeded.len(), 1, "the one that stands for it");
    make_due(&till).await;
    heeder.round().await.unwrap();
    assert_eq!(booking_status(&till, booking).await, Some(BookingStatus::BookingCanceled));
}
