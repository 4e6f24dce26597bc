//! The attendant when much is due, when the provider is slow, when somebody is killed, and when a person must look.

use std::{sync::Arc, time::Duration};

use aggregates::{AttemptId, BookingStatus, Money, PaymentCommand, PaymentId, PaymentStatus, payment::Outcome};
use chrono::Utc;
use futures::future::join_all;
use payments::{
    Approval, Cashier, Confirm, GuardOptions, Provider, TossConfig, TossProvider,
    due::{self, Attendant, Kind, Notes},
    toss::TIMEOUT_MS,
};
use serde_json::json;
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;

use crate::{
    desk::SECRET,
    due::{confirm_behind_our_back, note_all, work},
    gated::Gated,
    till::{PRICE, Till, metadata, new_attempt},
};

const DEADLINE: Duration = Duration::from_secs(30);
/// Refunds that are due before anything else is.
const REFUNDS: usize = 300;
/// Longer than a buyer waits, and what the provider of one test always takes, in milliseconds.
const ALWAYS_MS: u64 = 700;

/// Lets nothing happen to bookings.
const BOLT: [&str; 2] = [
    "CREATE FUNCTION bolt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'bolted'; END $$",
    "CREATE TRIGGER bolt BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.aggregate_type = 'booking')
     EXECUTE FUNCTION bolt()",
];

/// A payment that is paid by the log, and whose money must go back. Of the provider nothing is known.
async fn to_be_refunded(till: &Till) {
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.attempt(payment, attempt, Utc::now()).await;
    let outcome = Outcome::Approved { approved_at: Utc::now(), payment_key: attempt.to_string() };
    till.execute(payment, PaymentCommand::Settle { attempt_id: attempt, outcome }).await;
    till.cancel(payment).await;
}

#[tokio::test]
async fn refunds_however_many_and_slow_keep_nobody_waiting_who_has_paid() {
    let till = Till::open().await;
    join_all((0..REFUNDS).map(|_| to_be_refunded(&till))).await;
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.attempt(payment, attempt, Utc::now() - Duration::from_secs(11)).await;
    confirm_behind_our_back(&till, payment, attempt).await;
    note_all(&till).await;
    let gated = Arc::new(Gated::new(till.desk.toss.clone()));
    gated.refunds.shut();
    let stop = CancellationToken::new();
    let provider = Arc::clone(&gated) as Arc<dyn Provider>;
    let running = tokio::spawn(due::run(till.journal.clone(), provider, stop.clone()));
    gated.refunds.somebody().await;
    eventually("the open try to be settled while no refund gets through", DEADLINE, || async {
        till.state(payment).await.status() == Some(PaymentStatus::PaymentApproved)
    })
    .await;
    assert_eq!(work(&till).await.iter().filter(|(kind, _)| kind == "refund").count(), REFUNDS);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_provider_that_always_takes_longer_than_a_buyer_waits_settles_and_refunds_all_the_same() {
    let till = Till::open().await;
    let config = TossConfig::new(format!("http://{}", till.desk.address), SECRET);
    assert_eq!(config.timeout, Duration::from_millis(TIMEOUT_MS));
    let waited_for: Arc<dyn Provider> = Arc::new(TossProvider::new(&config).unwrap());
    let unattended: Arc<dyn Provider> = Arc::new(TossProvider::new(&config.in_background()).unwrap());
    till.desk.fault(json!({"latencyMs": [ALWAYS_MS, ALWAYS_MS]})).await;

    let (payment, attempt) = (till.payment().await, new_attempt());
    let cashier = Cashier::new(till.journal.clone(), waited_for, GuardOptions::default());
    let outcome = cashier.approve(payment, attempt, attempt.to_string(), &metadata()).await.unwrap();
    assert!(matches!(outcome, Approval::Later { .. }), "{outcome:?}");
    let later = till.payment().await;
    till.attempt(later, new_attempt(), Utc::now() - Duration::from_secs(11)).await;
    let attempt = till.state(later).await.in_flight().unwrap().attempt_id;
    confirm_behind_our_back(&till, later, attempt).await;
    till.cancel(later).await;
    let attendant = Attendant::new(till.journal.clone(), unattended);
    for _ in 0..2 {
        note_all(&till).await;
        attendant.round().await.unwrap();
    }
    assert_eq!(till.state(later).await.status(), Some(PaymentStatus::PaymentCanceled));
    assert_eq!(till.desk.counts().refunded, PRICE);
}

#[tokio::test]
async fn killed_between_the_two_things_that_follow_the_second_is_done_after_the_restart() {
    let till = Till::open().await;
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.attempt(payment, attempt, Utc::now() - Duration::from_secs(11)).await;
    let booking = crate::inbox::booking_of(&till, payment).await;
    confirm_behind_our_back(&till, payment, attempt).await;
    crate::inbox::give_back(&till, attempt, json!({"cancelReason": "in the dashboard"})).await;
    note_all(&till).await;
    // The first thing is written down; before the second it is over with this process.
    for statement in BOLT {
        sqlx::query(statement).execute(till.journal.pool()).await.unwrap();
    }
    Attendant::new(till.journal.clone(), till.provider()).round_of(Kind::Settle).await.unwrap();
    sqlx::query("DROP TRIGGER bolt ON events").execute(till.journal.pool()).await.unwrap();
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentApproved));
    assert_eq!(crate::inbox::booking_status(&till, booking).await, Some(BookingStatus::BookingApproved));

    note_all(&till).await;
    assert_eq!(work(&till).await, [("verify".to_owned(), 0)]);
    Attendant::new(till.journal.clone(), till.provider()).round().await.unwrap();
    assert_eq!(crate::inbox::booking_status(&till, booking).await, Some(BookingStatus::BookingCanceled));
    assert_eq!(work(&till).await, []);
}

/// Those rows for a person, and why.
async fn for_a_person(till: &Till) -> Vec<(String, String)> {
    let query = "SELECT kind, last_error FROM payment_work WHERE for_a_person ORDER BY kind";
    sqlx::query_as(query).fetch_all(till.journal.pool()).await.unwrap()
}

/// Takes another amount than is asked.
async fn take_another_amount(till: &Till, payment: PaymentId, attempt: AttemptId) {
    let amount = Money::krw(PRICE - 1);
    let confirm = Confirm { payment_key: attempt.to_string(), order_id: payment, amount, idempotency_key: attempt };
    till.desk.toss.confirm(confirm).await.unwrap();
}

#[tokio::test]
async fn money_of_another_amount_stays_for_a_person_until_it_is_given_back() {
    let till = Till::open().await;
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.attempt(payment, attempt, Utc::now() - Duration::from_secs(11)).await;
    take_another_amount(&till, payment, attempt).await;
    let attendant = Attendant::new(till.journal.clone(), till.provider());
    let why = "the provider has taken another amount than was asked".to_owned();
    for _ in 0..2 {
        note_all(&till).await;
        attendant.round().await.unwrap();
        assert_eq!(for_a_person(&till).await, [("settle".to_owned(), why.clone())]);
        assert_eq!(till.events(payment).await, ["PaymentRequested", "PaymentAttempted"], "nobody says that none came");
    }
    crate::inbox::give_back(&till, attempt, json!({"cancelReason": "by a person"})).await;
    note_all(&till).await;
    attendant.round().await.unwrap();
    assert_eq!(till.events(payment).await.last().unwrap(), "PaymentAttemptAbandoned");
    let mut notes = Notes::resume(&till.journal).await.unwrap();
    notes.step().await.unwrap();
    assert_eq!(for_a_person(&till).await, []);
}
