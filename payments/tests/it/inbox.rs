//! Webhooks: on disk before they are answered unless the log says so already, never believed, heeded once, whatever comes how often in whatever order.

use std::time::Duration;

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingId, BookingStatus, Money, Payment, PaymentCommand, PaymentId,
    PaymentStatus, booking, payment::Outcome,
};
use chrono::Utc;
use futures::future;
use payments::{
    Confirm, Provider,
    due::{self, Attendant},
    webhooks::{ASK_TRIES_MAX, Heeder, Inbox, Taken},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::till::{PRICE, Till, metadata, new_attempt};

const DEADLINE: Duration = Duration::from_secs(30);
pub const EVENT: &str = "PAYMENT_STATUS_CHANGED";

/// A try made long enough ago that nobody waits for its answer any more, and not long enough for the attendant.
async fn try_to_pay(till: &Till) -> (PaymentId, AttemptId) {
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.attempt(payment, attempt, Utc::now() - chrono::Duration::seconds(3)).await;
    (payment, attempt)
}

/// What the provider does with that try, and nobody hears of.
async fn charge(till: &Till, payment: PaymentId, attempt: AttemptId, amount: Money) {
    let confirm = Confirm { payment_key: attempt.to_string(), order_id: payment, amount, idempotency_key: attempt };
    till.desk.toss.confirm(confirm).await.unwrap();
}

pub async fn pay(till: &Till) -> (PaymentId, AttemptId) {
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.pay(payment, attempt).await.unwrap();
    (payment, attempt)
}

/// Somebody gives money back in the provider's own shop window.
pub async fn give_back(till: &Till, attempt: AttemptId, body: Value) {
    let path = format!("/v1/payments/{attempt}/cancel");
    let (status, answer) = till.desk.call(Method::POST, &path, &[], &body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// The booking of a payment, approved.
pub async fn booking_of(till: &Till, payment: PaymentId) -> BookingId {
    let request = till.state(payment).await.request().unwrap();
    let (booking_id, concert_id, user_id, qty) = (request.booking_id, request.concert_id, request.user_id, request.qty);
    let commands = [
        BookingCommand::Request(booking::Request { booking_id, concert_id, user_id, qty }),
        BookingCommand::Approve { payment_id: payment },
    ];
    for command in commands {
        till.journal.execute::<Booking>(booking_id.0, command, &metadata()).await.unwrap();
    }
    booking_id
}

pub async fn booking_status(till: &Till, booking: BookingId) -> Option<BookingStatus> {
    till.journal.load::<Booking>(booking.0).await.unwrap().state.status()
}

/// What the provider sends of a payment, as far as it matters.
pub fn told(payment: PaymentId, attempt: AttemptId, status: &str) -> Value {
    json!({"orderId": payment, "paymentKey": attempt, "status": status, "lastTransactionKey": format!("of-{status}"),
        "totalAmount": 1, "card": {"number": "48902300****406*"}})
}

pub async fn inbox(till: &Till) -> Inbox {
    Inbox::open(&till.journal).await.unwrap()
}

pub fn heeder(till: &Till) -> Heeder {
    Heeder::new(till.journal.clone(), till.provider())
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
pub struct Row {
    pub status: String,
    pub heeded: bool,
    tries: i32,
    last_error: Option<String>,
}

pub async fn rows(till: &Till) -> Vec<Row> {
    sqlx::query_as(
        "SELECT status, heeded_at IS NOT NULL AS heeded, tries, last_error FROM payment_webhooks ORDER BY status",
    )
    .fetch_all(till.journal.pool())
    .await
    .unwrap()
}

/// Those rows are heeded, without a word.
fn heeded(statuses: &[&str]) -> Vec<Row> {
    let row = |status: &&str| Row { status: (*status).to_owned(), heeded: true, tries: 0, last_error: None };
    statuses.iter().map(row).collect()
}

pub async fn make_due(till: &Till) {
    let sql = "UPDATE payment_webhooks SET due_at = now() WHERE heeded_at IS NULL";
    sqlx::query(sql).execute(till.journal.pool()).await.unwrap();
}

#[tokio::test]
async fn a_webhook_settles_a_try_that_the_attendant_would_leave_alone_for_long() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = try_to_pay(&till).await;
    charge(&till, payment, attempt, Money::krw(PRICE)).await;
    assert_eq!(inbox.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap(), Taken::Stored);
    crate::due::note_all(&till).await;
    let attendant = Attendant::new(till.journal.clone(), till.provider()).settle_after(chrono::Duration::hours(1));
    assert!(attendant.round().await.unwrap());
    assert!(till.state(payment).await.in_flight().is_some());

    assert!(heeder(&till).round().await.unwrap());
    assert_eq!(till.events(payment).await, ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
    assert_eq!(rows(&till).await, heeded(&["DONE"]));
    assert!(!heeder(&till).round().await.unwrap(), "once is enough");
}

#[tokio::test]
async fn the_answer_to_a_try_just_made_is_waited_for() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = (till.payment().await, new_attempt());
    till.attempt(payment, attempt, Utc::now()).await;
    charge(&till, payment, attempt, Money::krw(PRICE)).await;
    inbox.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap();
    let calls = till.desk.counts().calls;
    // It would be for an hour.
    heeder(&till).answer_wait(chrono::Duration::hours(1)).round().await.unwrap();
    assert_eq!(till.desk.counts().calls, calls);
    assert!(till.state(payment).await.in_flight().is_some());
    assert!(!rows(&till).await[0].heeded);
    make_due(&till).await;
    heeder(&till).answer_wait(chrono::Duration::zero()).round().await.unwrap();
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentApproved));
}

#[tokio::test]
async fn what_a_webhook_says_is_not_believed() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    // Tried, and not paid; paid, and not given back; paid with another amount.
    let (unpaid, unpaid_attempt) = try_to_pay(&till).await;
    let (paid, paid_attempt) = pay(&till).await;
    let booking = booking_of(&till, paid).await;
    let (less, less_attempt) = try_to_pay(&till).await;
    charge(&till, less, less_attempt, Money::krw(PRICE - 1)).await;
    let before = till.journal.position();
    for (payment, attempt, status) in [
        (unpaid, unpaid_attempt, "DONE"),
        (unpaid, unpaid_attempt, "CANCELED"),
        (paid, paid_attempt, "CANCELED"),
        (paid, paid_attempt, "PARTIAL_CANCELED"),
        (paid, paid_attempt, "A_STATUS_OF_NEXT_YEAR"),
        (paid, new_attempt(), "DONE"),
    ] {
        assert_eq!(inbox.take(EVENT, &told(payment, attempt, status)).await.unwrap(), Taken::Stored);
    }
    // Asked again for a while, since it might not know yet itself what it tells.
    for _ in 0..ASK_TRIES_MAX {
        assert!(heeder(&till).round().await.unwrap());
        make_due(&till).await;
    }
    assert!(!heeder(&till).round().await.unwrap());
    assert_eq!(till.journal.position(), before, "nothing was written down");
    assert!(rows(&till).await.iter().all(|row| row.heeded && row.last_error.is_none()), "{:?}", rows(&till).await);
    assert_eq!(booking_status(&till, booking).await, Some(BookingStatus::BookingApproved));

    assert_eq!(inbox.take(EVENT, &told(less, less_attempt, "DONE")).await.unwrap(), Taken::Stored);
    heeder(&till).round().await.unwrap();
    assert_eq!(till.journal.position(), before, "not what was asked for");
    let last = rows(&till).await.into_iter().find(|row| row.last_error.is_some()).unwrap();
    assert!(last.heeded && last.last_error.unwrap().contains("another amount"), "a person must look");
}

#[tokio::test]
async fn of_what_is_not_ours_nothing_is_kept() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (never_tried, attempt) = (till.payment().await, new_attempt());
    for order in [json!(Uuid::now_v7()), json!("order-of-another-shop"), json!(never_tried)] {
        let data = json!({"orderId": order, "paymentKey": attempt, "status": "DONE"});
        assert_eq!(inbox.take(EVENT, &data).await.unwrap(), Taken::Ignored, "{order}");
    }
    let (tried, attempt) = try_to_pay(&till).await;
    let other = inbox.take("METHOD_UPDATED", &told(tried, attempt, "DONE")).await.unwrap();
    assert_eq!((other, rows(&till).await), (Taken::Unknown, vec![]));
}

#[tokio::test]
async fn told_often_and_in_another_order_it_has_one_effect_and_a_row_for_what_the_log_does_not_say() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = try_to_pay(&till).await;
    let booking = booking_of(&till, payment).await;
    charge(&till, payment, attempt, Money::krw(PRICE)).await;
    give_back(&till, attempt, json!({"cancelReason": "in the dashboard"})).await;
    // The end before the beginning, several times and several at once; heeded in between.
    let mut taken = Vec::new();
    for status in ["CANCELED", "DONE", "CANCELED"] {
        let data = told(payment, attempt, status);
        taken.extend(future::join_all((0..5).map(|_| inbox.take(EVENT, &data))).await);
        heeder(&till).round().await.unwrap();
        make_due(&till).await;
    }
    let stored = taken.iter().filter(|taken| matches!(taken, Ok(Taken::Stored))).count();
    let known = taken.iter().filter(|taken| matches!(taken, Ok(Taken::Known))).count();
    let said = taken.iter().filter(|taken| matches!(taken, Ok(Taken::Said))).count();
    assert_eq!((stored, known, said), (1, 9, 5), "{taken:?}");
    assert_eq!(rows(&till).await, heeded(&["CANCELED"]));
    assert_eq!(till.events(payment).await, ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
    assert_eq!(booking_status(&till, booking).await, Some(BookingStatus::BookingCanceled));
}

#[tokio::test]
async fn a_refund_made_at_the_provider_cancels_the_booking_and_pays_back_once() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = pay(&till).await;
    let booking = booking_of(&till, payment).await;
    give_back(&till, attempt, json!({"cancelReason": "in the dashboard"})).await;
    inbox.take(EVENT, &told(payment, attempt, "CANCELED")).await.unwrap();
    heeder(&till).round().await.unwrap();
    let log = journal::history(till.journal.pool(), aggregates::AggregateType::Booking, booking.0).await.unwrap();
    let last = log.last().unwrap();
    assert_eq!(&*last.event_type, "BookingCanceled");
    assert!(last.payload.contains("RefundedByProvider"), "{}", last.payload);

    // As the saga does next.
    till.cancel(payment).await;
    crate::due::note_all(&till).await;
    Attendant::new(till.journal.clone(), till.provider()).round().await.unwrap();
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentCanceled));
    // And what the provider tells of it needs no question any more.
    inbox.take(EVENT, &json!({"orderId": payment, "paymentKey": attempt, "status": "CANCELED"})).await.unwrap();
    let calls = till.desk.counts().calls;
    heeder(&till).round().await.unwrap();
    let counts = till.desk.counts();
    assert_eq!((counts.calls, counts.charged, counts.refunded, counts.money_movements), (calls, PRICE, PRICE, 2));
}

#[tokio::test]
async fn what_the_provider_tells_before_it_says_so_itself_is_heeded_in_the_end() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = pay(&till).await;
    let booking = booking_of(&till, payment).await;
    inbox.take(EVENT, &told(payment, attempt, "CANCELED")).await.unwrap();
    heeder(&till).round().await.unwrap();
    let row = rows(&till).await.pop().unwrap();
    assert!(!row.heeded && row.tries == 1, "{row:?}");
    give_back(&till, attempt, json!({"cancelReason": "in the dashboard"})).await;
    make_due(&till).await;
    heeder(&till).round().await.unwrap();
    assert_eq!(booking_status(&till, booking).await, Some(BookingStatus::BookingCanceled));
}

#[tokio::test]
async fn a_part_that_was_given_back_is_for_a_person_to_look_at() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = pay(&till).await;
    let booking = booking_of(&till, payment).await;
    give_back(&till, attempt, json!({"cancelReason": "in the dashboard", "cancelAmount": 1_000})).await;
    inbox.take(EVENT, &told(payment, attempt, "PARTIAL_CANCELED")).await.unwrap();
    let before = till.journal.position();
    heeder(&till).round().await.unwrap();
    let rows = rows(&till).await;
    assert!(rows[0].heeded && rows[0].last_error.as_ref().unwrap().contains("a part of the money"), "{rows:?}");
    assert_eq!(till.journal.position(), before);
    assert_eq!(booking_status(&till, booking).await, Some(BookingStatus::BookingApproved));
}

#[tokio::test]
async fn money_for_a_try_that_was_given_up_is_written_down_as_soon_as_it_is_told() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = try_to_pay(&till).await;
    let outcome = Outcome::NotDone { reason: "the provider knows of no money".to_owned() };
    till.execute(payment, PaymentCommand::Settle { attempt_id: attempt, outcome }).await;
    till.cancel(payment).await;
    charge(&till, payment, attempt, Money::krw(PRICE)).await;
    inbox.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap();
    heeder(&till).round().await.unwrap();
    assert!(till.state(payment).await.refund_due().is_some(), "nobody wants it any more");
    crate::due::note_all(&till).await;
    Attendant::new(till.journal.clone(), till.provider()).round().await.unwrap();
    assert_eq!(till.desk.counts().refunded, PRICE);
}

#[tokio::test]
async fn what_only_says_what_is_known_costs_no_call() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = pay(&till).await;
    let (other, other_attempt) = try_to_pay(&till).await;
    let calls = till.desk.counts().calls;
    assert_eq!(inbox.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap(), Taken::Said);
    assert_eq!(inbox.take(EVENT, &told(other, other_attempt, "ABORTED")).await.unwrap(), Taken::Stored);
    heeder(&till).round().await.unwrap();
    assert_eq!(rows(&till).await, heeded(&["ABORTED"]));
    assert_eq!(till.desk.counts().calls, calls);
}

#[tokio::test]
async fn what_the_log_says_a_moment_later_is_not_kept() {
    let till = Till::open().await;
    let inbox = inbox(&till).await.said_within(Duration::from_secs(3));
    let (payment, attempt) = try_to_pay(&till).await;
    let outcome = Outcome::Approved { payment_key: attempt.to_string(), approved_at: Utc::now() };
    let settle = PaymentCommand::Settle { attempt_id: attempt, outcome };
    let (first, other) = (told(payment, attempt, "DONE"), told(payment, new_attempt(), "DONE"));
    let (same, another_key, ()) =
        tokio::join!(inbox.take(EVENT, &first), inbox.take(EVENT, &other), till.execute(payment, settle));
    assert_eq!((same.unwrap(), another_key.unwrap()), (Taken::Said, Taken::Stored));
    assert_eq!(rows(&till).await.len(), 1, "money under another name is looked into");
}

#[tokio::test]
async fn what_the_log_does_not_say_soon_is_kept() {
    let till = Till::open().await;
    let (payment, attempt) = try_to_pay(&till).await;
    let taken = inbox(&till).await.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap();
    assert_eq!((taken, rows(&till).await.len()), (Taken::Stored, 1));
}

#[tokio::test]
async fn naming_a_payment_has_nobody_read_it() {
    let till = Till::open().await;
    let (payment, attempt) = pay(&till).await;
    // As another process would find it, which has not seen that payment.
    let journal = till.another_journal().await;
    let inbox = Inbox::open(&journal).await.unwrap();
    assert_eq!(inbox.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap(), Taken::Stored);
    assert!(journal.remembered::<Payment>(payment.0).await.is_none());
}

#[tokio::test]
async fn while_the_provider_is_away_it_is_tried_again() {
    let till = Till::open().await;
    let inbox = inbox(&till).await;
    let (payment, attempt) = try_to_pay(&till).await;
    charge(&till, payment, attempt, Money::krw(PRICE)).await;
    inbox.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap();
    till.desk.fault(json!({"down": true})).await;
    for tries in 1..=2 {
        heeder(&till).round().await.unwrap();
        let row = rows(&till).await.pop().unwrap();
        assert!(!row.heeded && row.tries == tries && row.last_error.is_some(), "{row:?}");
        assert!(!heeder(&till).round().await.unwrap(), "not at once");
        make_due(&till).await;
    }
    till.desk.fault(json!({"down": false})).await;
    heeder(&till).round().await.unwrap();
    let row = rows(&till).await.pop().unwrap();
    assert!(row.heeded && row.last_error.is_none(), "{row:?}");
    assert_eq!(till.state(payment).await.status(), Some(PaymentStatus::PaymentApproved));
}

#[tokio::test]
async fn what_was_stored_by_a_process_that_is_gone_is_heeded() {
    let till = Till::open().await;
    let (payment, attempt) = try_to_pay(&till).await;
    charge(&till, payment, attempt, Money::krw(PRICE)).await;
    // Nobody who heeds is told of it.
    inbox(&till).await.take(EVENT, &told(payment, attempt, "DONE")).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(due::run(till.journal.clone(), till.provider(), stop.clone()));
    eventually("the webhook to be heeded", DEADLINE, || async { rows(&till).await == heeded(&["DONE"]) }).await;
    stop.cancel();
    running.await.unwrap();
    let state: Payment = till.state(payment).await;
    assert_eq!(state.status(), Some(PaymentStatus::PaymentApproved));
}
