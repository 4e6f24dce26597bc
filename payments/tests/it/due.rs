//! What must still be done is done: after a crash, after a lost answer, and however often a refund fails.

use std::time::Duration;

use aggregates::{AttemptId, BookingStatus, PaymentId, PaymentStatus};
use chrono::Utc;
use payments::{
    Approval, Confirm, Provider,
    due::{self, Attendant, Notes},
};
use serde_json::json;
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;

use crate::till::{PRICE, Till, new_attempt};

const DEADLINE: Duration = Duration::from_secs(30);

/// Notes everything in the log, and makes it due now: the test does not wait for what only time brings.
pub async fn note_all(till: &Till) {
    let mut notes = Notes::resume(&till.journal).await.unwrap();
    let checkpoint = async || journal::checkpoint(till.journal.pool(), due::CHECKPOINT).await.unwrap();
    while checkpoint().await < till.journal.position() {
        notes.step().await.unwrap();
    }
    sqlx::query("UPDATE payment_work SET due_at = now()").execute(till.journal.pool()).await.unwrap();
}

pub async fn work(till: &Till) -> Vec<(String, i32)> {
    sqlx::query_as("SELECT kind, tries FROM payment_work ORDER BY kind").fetch_all(till.journal.pool()).await.unwrap()
}

pub async fn confirm_behind_our_back(till: &Till, payment: PaymentId, attempt: AttemptId) {
    let amount = till.state(payment).await.request().unwrap().amount;
    let confirm = Confirm { payment_key: attempt.to_string(), order_id: payment, amount, idempotency_key: attempt };
    till.desk.toss.confirm(confirm).await.unwrap();
}

#[tokio::test]
async fn a_try_without_an_outcome_is_settled_by_asking_the_provider() {
    let till = Till::open().await;
    // One crashed after the provider was called, the other before.
    let (called, not_called) = (till.payment().await, till.payment().await);
    let attempts = [new_attempt(), new_attempt()];
    till.attempt(called, attempts[0], Utc::now() - Duration::from_secs(11)).await;
    till.attempt(not_called, attempts[1], Utc::now() - Duration::from_secs(11)).await;
    confirm_behind_our_back(&till, called, attempts[0]).await;
    note_all(&till).await;
    assert_eq!(work(&till).await, [("settle".to_owned(), 0), ("settle".to_owned(), 0)]);

    let attendant = Attendant::new(till.journal.clone(), till.provider());
    assert!(attendant.round().await.unwrap());
    assert_eq!(till.events(called).await, ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
    assert_eq!(till.events(not_called).await, ["PaymentRequested", "PaymentAttempted", "PaymentAttemptAbandoned"]);
    assert!(matches!(till.pay(not_called, new_attempt()).await.unwrap(), Approval::Approved { .. }));
    note_all(&till).await;
    // Once more, when the buyer's time at the provider is over, in case its call was only very slow.
    assert_eq!(work(&till).await, [("verify".to_owned(), 0)]);
    assert!(attendant.round().await.unwrap());
    assert_eq!(work(&till).await, []);
    assert_eq!(till.desk.counts().charged, 2 * PRICE);
}

#[tokio::test]
async fn a_try_that_may_still_be_on_its_way_is_not_given_up() {
    let till = Till::open().await;
    let payment = till.payment().await;
    till.attempt(payment, new_attempt(), Utc::now()).await;
    // Cancelled while paying: what was due in ten seconds is due at once, and yet it is too early to say.
    till.cancel(payment).await;
    note_all(&till).await;
    Attendant::new(till.journal.clone(), till.provider()).round().await.unwrap();
    assert!(till.state(payment).await.in_flight().is_some(), "the call may reach the provider any moment");
}

#[tokio::test]
async fn money_that_a_very_slow_provider_takes_after_all_goes_back_where_nobody_wants_it() {
    let till = Till::open().await;
    let (wanted, unwanted) = (till.payment().await, till.payment().await);
    let attempts = [new_attempt(), new_attempt()];
    for (payment, attempt) in [wanted, unwanted].into_iter().zip(attempts) {
        till.attempt(payment, attempt, Utc::now() - Duration::from_secs(11)).await;
    }
    till.cancel(unwanted).await;
    let attendant = Attendant::new(till.journal.clone(), till.provider());
    note_all(&till).await;
    attendant.round().await.unwrap();
    assert_eq!(till.state(unwanted).await.status(), Some(PaymentStatus::PaymentCanceled), "given up");
    for (payment, attempt) in [wanted, unwanted].into_iter().zip(attempts) {
        confirm_behind_our_back(&till, payment, attempt).await;
    }
    for _ in 0..2 {
        note_all(&till).await;
        attendant.round().await.unwrap();
    }
    assert_eq!(till.state(wanted).await.status(), Some(PaymentStatus::PaymentApproved));
    assert_eq!(till.state(unwanted).await.status(), Some(PaymentStatus::PaymentCanceled));
    assert_eq!((till.desk.counts().charged, till.desk.counts().refunded), (2 * PRICE, PRICE));
}

#[tokio::test]
async fn a_refund_is_tried_until_it_is_through_and_pays_back_once() {
    let till = Till::open().await;
    let payment = till.payment().await;
    till.pay(payment, new_attempt()).await.unwrap();
    till.cancel(payment).await;
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentApproved));
    let attendant = Attendant::new(till.journal.clone(), till.provider());
    note_all(&till).await;

    // Refused, then lost: the money is back, but we do not know.
    for (nth, fault) in [json!({"down": true}), json!({"down": false, "loseAnswerRate": 1.0})].into_iter().enumerate() {
        till.desk.fault(fault).await;
        attendant.round().await.unwrap();
        assert_eq!(work(&till).await, [("refund".to_owned(), i32::try_from(nth).unwrap() + 1)]);
        assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentApproved));
        note_all(&till).await;
    }
    till.desk.fault(json!({"loseAnswerRate": 0.0})).await;
    attendant.round().await.unwrap();
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentCanceled));
    let counts = till.desk.counts();
    assert_eq!((counts.charged, counts.refunded, counts.money_movements), (PRICE, PRICE, 2));
    note_all(&till).await;
    assert_eq!(work(&till).await, []);
}

/// A payment whose money must go back.
pub async fn paid_in_vain(till: &Till) -> PaymentId {
    let payment = till.payment().await;
    till.pay(payment, new_attempt()).await.unwrap();
    till.cancel(payment).await;
    payment
}

#[tokio::test]
async fn work_noted_by_an_older_version_is_gone_on_with() {
    let till = Till::open().await;
    let payment = paid_in_vain(&till).await;
    let older = "CREATE TABLE payment_work (
        payment_id uuid NOT NULL, kind text NOT NULL CHECK (kind IN ('settle', 'refund', 'verify')),
        due_at timestamptz NOT NULL, tries integer NOT NULL DEFAULT 0, last_error text, PRIMARY KEY (payment_id, kind))";
    sqlx::query(older).execute(till.journal.pool()).await.unwrap();
    sqlx::query("INSERT INTO payment_work (payment_id, kind, due_at) VALUES ($1, 'refund', now())")
        .bind(payment.0)
        .execute(till.journal.pool())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(due::run(till.journal.clone(), till.provider(), stop.clone()));
    eventually("the refund", DEADLINE, || async {
        till.state(payment).await.status() == Some(PaymentStatus::PaymentCanceled)
    })
    .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_try_that_turns_out_paid_and_refunded_past_us_ends_its_booking() {
    let till = Till::open().await;
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.attempt(payment, attempt, Utc::now() - Duration::from_secs(11)).await;
    let booking = crate::inbox::booking_of(&till, payment).await;
    confirm_behind_our_back(&till, payment, attempt).await;
    crate::inbox::give_back(&till, attempt, json!({"cancelReason": "in the dashboard"})).await;
    note_all(&till).await;
    Attendant::new(till.journal.clone(), till.provider()).round().await.unwrap();
    assert_eq!(till.events(payment).await.last().unwrap(), "PaymentApproved");
    assert_eq!(crate::inbox::booking_status(&till, booking).await, Some(BookingStatus::BookingCanceled));
}

#[tokio::test]
async fn money_that_arrives_after_the_cancellation_goes_back() {
    let till = Till::open().await;
    let payment = till.payment().await;
    let attempt = new_attempt();
    till.attempt(payment, attempt, Utc::now() - Duration::from_secs(11)).await;
    till.cancel(payment).await;
    confirm_behind_our_back(&till, payment, attempt).await;
    let attendant = Attendant::new(till.journal.clone(), till.provider());
    for _ in 0..2 {
        note_all(&till).await;
        attendant.round().await.unwrap();
    }
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentCanceled));
    let counts = till.desk.counts();
    assert_eq!((counts.charged, counts.refunded), (PRICE, PRICE));
}

#[tokio::test]
async fn noting_events_twice_has_no_second_effect() {
    let till = Till::open().await;
    let payment = till.payment().await;
    till.pay(payment, new_attempt()).await.unwrap();
    till.cancel(payment).await;
    note_all(&till).await;
    let mut stale = Notes::resume(&till.journal).await.unwrap();
    sqlx::query("UPDATE checkpoints SET position = 0").execute(till.journal.pool()).await.unwrap();
    note_all(&till).await;
    assert_eq!(work(&till).await, [("refund".to_owned(), 0)]);
    // One whose checkpoint was moved by another stops, and notes nothing.
    till.payment().await;
    sqlx::query("UPDATE checkpoints SET position = 1").execute(till.journal.pool()).await.unwrap();
    assert!(matches!(stale.step().await, Err(due::DueError::CheckpointMoved)));
}

#[tokio::test]
async fn the_attendant_does_it_all_by_itself() {
    let till = Till::open().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(due::run(till.journal.clone(), till.provider(), stop.clone()));
    let payment = till.payment().await;
    till.pay(payment, new_attempt()).await.unwrap();
    till.cancel(payment).await;
    eventually("the refund", DEADLINE, || async {
        till.state(payment).await.status() == Some(PaymentStatus::PaymentCanceled)
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(till.desk.counts().refunded, PRICE);
}
