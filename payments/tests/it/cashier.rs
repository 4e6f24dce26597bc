//! Paying: intent first, one effect whatever is repeated or lost.

use std::time::Duration;

use aggregates::{AttemptId, PaymentCommand, PaymentError, PaymentStatus, payment::Outcome};
use journal::ExecuteError;
use payments::{Approval, ApproveError, BreakerState, GuardOptions};
use serde_json::json;
use stack::testing::eventually;

use crate::till::{PRICE, TOO_SLOW_MS, Till, metadata, new_attempt};

#[tokio::test]
async fn the_intent_is_in_the_journal_before_the_outcome() {
    let till = Till::open().await;
    let payment = till.payment().await;
    assert!(matches!(till.pay(payment, new_attempt()).await.unwrap(), Approval::Approved { .. }));
    assert_eq!(till.events(payment).await, ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
    assert_eq!(till.desk.counts().charged, PRICE);
}

#[tokio::test]
async fn many_clicks_at_once_charge_once() {
    let till = Till::open().await;
    let payment = till.payment().await;
    let clicks = (0..10).map(|_| till.pay(payment, new_attempt()));
    for outcome in futures::future::join_all(clicks).await {
        assert!(matches!(outcome.unwrap(), Approval::Approved { .. } | Approval::Later { .. }));
    }
    assert!(matches!(till.pay(payment, new_attempt()).await.unwrap(), Approval::Approved { .. }));
    let counts = till.desk.counts();
    assert_eq!((counts.charged, counts.money_movements), (PRICE, 1));
    let approvals = till.events(payment).await.iter().filter(|name| *name == "PaymentApproved").count();
    assert_eq!(approvals, 1);
}

#[tokio::test]
async fn a_declined_payment_can_be_tried_again_and_the_same_try_is_declined_again() {
    let till = Till::open().await;
    let payment = till.payment().await;
    let attempt = new_attempt();
    for _ in 0..2 {
        let declined = till.cashier.approve(payment, attempt, "decline-1".to_owned(), &metadata()).await.unwrap();
        assert!(matches!(declined, Approval::Declined { .. }), "{declined:?}");
    }
    assert_eq!(till.events(payment).await, ["PaymentRequested", "PaymentAttempted", "PaymentDeclined"]);
    assert!(matches!(till.pay(payment, new_attempt()).await.unwrap(), Approval::Approved { .. }));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_neither_success_nor_failure_until_it_is_known() {
    let till = Till::open().await;
    let payment = till.payment().await;
    let attempt = new_attempt();
    till.desk.fault(json!({"loseAnswerRate": 1.0})).await;
    let outcome = till.pay(payment, attempt).await.unwrap();
    assert!(matches!(outcome, Approval::Later { .. }), "{outcome:?}");
    assert_eq!(till.events(payment).await, ["PaymentRequested", "PaymentAttempted"], "the try stays open");
    till.desk.fault(json!({"loseAnswerRate": 0.0})).await;
    // Another try finds the open one, and learns that the money is there already.
    assert!(matches!(till.pay(payment, new_attempt()).await.unwrap(), Approval::Approved { .. }));
    assert_eq!(till.desk.counts().charged, PRICE);
    assert_eq!(till.events(payment).await, ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
}

#[tokio::test]
async fn a_provider_that_is_slow_or_down_means_pay_later_and_nothing_is_lost() {
    let till = Till::open().await;
    let payment = till.payment().await;
    let attempt = new_attempt();
    till.desk.fault(json!({"latencyMs": [TOO_SLOW_MS, TOO_SLOW_MS]})).await;
    let outcome = till.pay(payment, attempt).await.unwrap();
    assert!(matches!(outcome, Approval::Later { .. }), "{outcome:?}");
    till.desk.fault(json!({"latencyMs": [0, 0], "down": true})).await;
    let outcome = till.pay(payment, attempt).await.unwrap();
    assert!(matches!(outcome, Approval::Later { .. }), "{outcome:?}");
    assert_eq!(till.state(payment).await.in_flight().map(|open| open.attempt_id), Some(attempt));
    till.desk.fault(json!({"down": false})).await;
    assert!(matches!(till.pay(payment, attempt).await.unwrap(), Approval::Approved { .. }));
    assert_eq!(till.desk.counts().charged, PRICE);
}

#[tokio::test]
async fn a_payment_that_cannot_be_paid_is_refused_before_the_provider_hears_of_it() {
    let till = Till::open().await;
    let payment = till.payment().await;
    till.cancel(payment).await;
    let refused = till.pay(payment, new_attempt()).await;
    assert!(
        matches!(refused, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::Canceled)))),
        "{refused:?}"
    );
    let unknown = aggregates::PaymentId(uuid::Uuid::now_v7());
    let refused = till.pay(unknown, AttemptId::derived(unknown, "k")).await;
    assert!(matches!(refused, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::NoSuchPayment)))));
    assert_eq!(till.desk.counts().calls, 0);
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentCanceled));
}

#[tokio::test]
async fn a_provider_in_trouble_is_left_alone_until_probes_get_through() {
    let open_wait = Duration::from_secs(1);
    let options = GuardOptions { window_tries: 4, probes: 1, open_wait, ..GuardOptions::default() };
    let till = Till::guarded(options).await;
    let payment = till.payment().await;
    till.desk.fault(json!({"down": true})).await;
    let attempt = new_attempt();
    while till.cashier.breaker() != BreakerState::Open {
        assert!(matches!(till.pay(payment, attempt).await.unwrap(), Approval::Later { .. }));
    }
    // Open: nobody is asked, and nothing is written down.
    let (calls, position) = (till.desk.counts().calls, till.journal.position());
    let other = till.payment().await;
    assert!(matches!(till.pay(other, new_attempt()).await.unwrap(), Approval::Later { .. }));
    assert_eq!(till.desk.counts().calls, calls);
    assert_eq!(till.journal.position(), position.next(), "only the other payment's request was appended");

    till.desk.fault(json!({"down": false})).await;
    eventually("the breaker to close", Duration::from_secs(30), || async {
        matches!(till.pay(payment, attempt).await.unwrap(), Approval::Approved { .. })
    })
    .await;
    assert!(matches!(till.pay(other, new_attempt()).await.unwrap(), Approval::Approved { .. }));
    assert_eq!(till.desk.counts().charged, 2 * PRICE);
}

#[tokio::test]
async fn one_more_than_may_pay_at_once_pays_a_little_later() {
    let till = Till::guarded(GuardOptions { at_once_max: 1, ..GuardOptions::default() }).await;
    let (slow, waiting) = (till.payment().await, till.payment().await);
    till.desk.fault(json!({"latencyMs": [1_000, 1_000]})).await;
    let paying = till.pay(slow, new_attempt());
    let refused = async {
        eventually("the first to be under way", Duration::from_secs(10), || async {
            till.state(slow).await.in_flight().is_some()
        })
        .await;
        till.pay(waiting, new_attempt()).await
    };
    let (paid, refused) = tokio::join!(paying, refused);
    assert!(matches!(refused.unwrap(), Approval::Later { .. }));
    assert_eq!(till.events(waiting).await, ["PaymentRequested"]);
    assert!(matches!(paid.unwrap(), Approval::Approved { .. }));
}

#[tokio::test]
async fn a_try_that_was_given_up_can_be_made_again_under_the_same_name() {
    let till = Till::open().await;
    let payment = till.payment().await;
    let attempt = new_attempt();
    till.attempt(payment, attempt, chrono::Utc::now()).await;
    let outcome = Outcome::NotDone { reason: "the provider knows of no money".to_owned() };
    till.execute(payment, PaymentCommand::Settle { attempt_id: attempt, outcome }).await;
    for _ in 0..2 {
        assert!(matches!(till.pay(payment, attempt).await.unwrap(), Approval::Approved { .. }));
    }
    assert_eq!(till.desk.counts().charged, PRICE);
}
