//! Paying: intent first, one effect whatever is repeated or lost.

use std::{sync::Arc, time::Duration};

use aggregates::{AttemptId, PaymentCommand, PaymentError, PaymentStatus, payment::Outcome};
use journal::ExecuteError;
use payments::{Approval, ApproveError, BreakerState, Cashier, GuardOptions, Provider};
use serde_json::json;
use stack::testing::eventually;

use crate::{
    gated::Gated,
    till::{PRICE, TOO_SLOW_MS, Till, metadata, new_attempt},
};

const DEADLINE: Duration = Duration::from_secs(30);

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

/// Half-open from the first failure on, as good as at once, and closed again after two successes in a row.
fn nervous() -> GuardOptions {
    let open_wait = Duration::from_millis(1);
    GuardOptions { window_tries: 1, probes: 1, open_wait, ..GuardOptions::default() }
}

/// Open from the second failure on, and for as long as any test takes.
fn stubborn() -> GuardOptions {
    GuardOptions { open_wait: Duration::from_hours(1), ..nervous() }
}

/// Fails until the breaker has opened.
async fn open_the_breaker(till: &Till) {
    till.desk.fault(json!({"down": true})).await;
    let payment = till.payment().await;
    for _ in 0..2 {
        assert!(matches!(till.pay(payment, new_attempt()).await.unwrap(), Approval::Later { .. }));
    }
    assert_ne!(till.cashier.breaker(), BreakerState::Closed);
    till.desk.fault(json!({"down": false})).await;
}

#[tokio::test]
async fn a_provider_in_trouble_is_left_alone() {
    let till = Till::guarded(stubborn()).await;
    open_the_breaker(&till).await;
    let (calls, position) = (till.desk.counts().calls, till.journal.position());
    let other = till.payment().await;
    let put_off = till.pay(other, new_attempt()).await.unwrap();
    let Approval::Later { retry_after, kept, .. } = put_off else { panic!("{put_off:?}") };
    assert!(retry_after > Duration::from_mins(50), "it says when the breaker lets somebody through: {retry_after:?}");
    assert!(!kept, "the tickets are gone by then");
    assert_eq!(till.desk.counts().calls, calls, "nobody is asked");
    assert_eq!(till.journal.position(), position.next(), "only the other payment's request was appended");
}

#[tokio::test]
async fn probes_that_get_through_end_the_trouble() {
    let till = Till::guarded(nervous()).await;
    open_the_breaker(&till).await;
    let payments = futures::future::join_all((0..3).map(|_| till.payment())).await;
    for payment in &payments {
        eventually("the breaker to let it through", DEADLINE, || async {
            matches!(till.pay(*payment, new_attempt()).await.unwrap(), Approval::Approved { .. })
        })
        .await;
    }
    assert_eq!(till.cashier.breaker(), BreakerState::Closed);
    assert_eq!(till.desk.counts().charged, 3 * PRICE);
}

#[tokio::test]
async fn what_never_reached_the_provider_says_nothing_about_it() {
    let till = Till::guarded(nervous()).await;
    open_the_breaker(&till).await;
    eventually("the breaker to be half-open", DEADLINE, || async { till.cashier.breaker() == BreakerState::HalfOpen })
        .await;
    let calls = till.desk.counts().calls;
    for _ in 0..3 {
        let canceled = till.payment().await;
        till.cancel(canceled).await;
        let refused = till.pay(canceled, new_attempt()).await;
        assert!(matches!(refused, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::Canceled)))));
    }
    assert_eq!(till.desk.counts().calls, calls);
    assert_eq!(till.cashier.breaker(), BreakerState::HalfOpen, "nobody has seen that it is well");
}

#[tokio::test]
async fn what_is_over_is_told_so_whatever_the_breaker_does() {
    let till = Till::guarded(stubborn()).await;
    let (paid, canceled, expired) = (till.payment().await, till.payment().await, till.expired_payment().await);
    assert!(matches!(till.pay(paid, new_attempt()).await.unwrap(), Approval::Approved { .. }));
    till.cancel(canceled).await;
    open_the_breaker(&till).await;
    assert_eq!(till.cashier.breaker(), BreakerState::Open);
    let refused = till.pay(canceled, new_attempt()).await;
    assert!(
        matches!(refused, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::Canceled)))),
        "{refused:?}"
    );
    let refused = till.pay(expired, new_attempt()).await;
    assert!(
        matches!(refused, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::Expired(_))))),
        "{refused:?}"
    );
    assert!(matches!(till.pay(paid, new_attempt()).await.unwrap(), Approval::Approved { .. }));
}

#[tokio::test]
async fn one_more_than_may_pay_at_once_pays_a_little_later() {
    let till = Till::open().await;
    let gated = Arc::new(Gated::new(till.desk.toss.clone()));
    gated.before.shut();
    let options = GuardOptions { at_once_max: 1, ..GuardOptions::default() };
    let cashier = Cashier::new(till.journal.clone(), Arc::clone(&gated) as Arc<dyn Provider>, options);
    let (slow, waiting) = (till.payment().await, till.payment().await);
    let pay = async |payment| {
        let attempt = new_attempt();
        cashier.approve(payment, attempt, attempt.to_string(), &metadata()).await.unwrap()
    };
    let put_off = async {
        gated.before.somebody().await;
        let put_off = pay(waiting).await;
        gated.before.let_one_through();
        put_off
    };
    let (paid, put_off) = tokio::join!(pay(slow), put_off);
    let Approval::Later { kept, .. } = put_off else { panic!("{put_off:?}") };
    assert!(kept, "there are ten minutes left");
    assert_eq!(till.events(waiting).await, ["PaymentRequested"]);
    assert!(matches!(paid, Approval::Approved { .. }), "{paid:?}");
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
