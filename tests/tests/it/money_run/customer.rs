//! Somebody who books, and pays or not, while nothing is certain: polite, patient, and remembering what they were told.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{Answer, Fan};

/// How long a customer goes on asking for the same thing. The service being killed meanwhile must not take longer.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long they wait where nobody answers, or where nothing is new.
const BREATH: Duration = Duration::from_millis(250);
/// How often they take out another card.
const CARDS: u64 = 2;

/// What a customer has in mind.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    Pays,
    PaysAndCancels,
    CancelsWhilePaying,
    CancelsUnpaid,
    WalksAway,
    /// First by a card that is always declined.
    PaysByAnotherCard,
}

/// The last thing that a customer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    SoldOut,
    /// Booked, and no more was asked for.
    Booked,
    Paid,
    Declined,
    /// It cannot be paid any more.
    TooLate,
    Canceled,
}

/// What all customers have met with.
#[derive(Default)]
pub struct Met {
    /// Answers that asked them to come back later.
    pub later: AtomicUsize,
    /// Requests that nobody answered.
    pub silence: AtomicUsize,
}

impl Plan {
    /// Of customer number `n`.
    pub const fn of(n: usize) -> Self {
        match n % 10 {
            4 => Self::PaysByAnotherCard,
            5 => Self::PaysAndCancels,
            6 => Self::CancelsWhilePaying,
            7 => Self::CancelsUnpaid,
            8 => Self::WalksAway,
            _ => Self::Pays,
        }
    }
}

/// Customer number `n`, from the request to what they were told last, and of which booking.
pub async fn visit(fan: &Fan, met: &Met, concert: &str, n: usize) -> (String, Told) {
    let plan = Plan::of(n);
    let body = json!({"concertId": concert, "qty": n % 3 + 1});
    let booking =
        || fan.request(Method::POST, "/bookings").header("Idempotency-Key", format!("customer-{n}")).json(&body);
    let booked = persist(fan, met, booking).await;
    if booked.status == 409 {
        let refused = booked.problem(409, "sold-out");
        return (refused.text_at("/bookingId"), Told::SoldOut);
    }
    assert!(matches!(booked.status, 201 | 202), "{} answered {} {}", booked.request, booked.status, booked.text);
    let (id, payment) = (booked.text_at("/bookingId"), booked.text_at("/paymentId"));
    if booked.status == 202 && !is_held(fan, met, &id).await {
        return (id, Told::SoldOut);
    }
    let told = match plan {
        Plan::Pays => pay(fan, met, &payment, 1).await,
        Plan::PaysByAnotherCard => pay(fan, met, &payment, 0).await,
        Plan::PaysAndCancels => {
            pay(fan, met, &payment, 1).await;
            cancel(fan, met, &id).await
        }
        Plan::CancelsWhilePaying => tokio::join!(pay(fan, met, &payment, 1), cancel(fan, met, &id)).1,
        Plan::CancelsUnpaid => cancel(fan, met, &id).await,
        Plan::WalksAway => Told::Booked,
    };
    (id, told)
}

/// Waits until a booking that was accepted has its tickets, or never will.
async fn is_held(fan: &Fan, met: &Met, booking: &str) -> bool {
    let path = format!("/bookings/{booking}");
    loop {
        let shown = persist(fan, met, || fan.request(Method::GET, &path)).await.ok(200);
        if shown.body["paymentStatus"].is_string() {
            return true;
        }
        if shown.text_at("/status") == "BookingRejected" {
            return false;
        }
        sleep(BREATH).await;
    }
}

/// Pays by one card after another until it is through or of no use; card 0 is one that is always declined.
async fn pay(fan: &Fan, met: &Met, payment: &str, first_card: u64) -> Told {
    let path = format!("/payments/{payment}/approve");
    for card in first_card..=first_card + CARDS {
        let name = if card == 0 { "decline" } else { "card" };
        let body = json!({"paymentKey": format!("{name}-{card}-{payment}")});
        let paying = || fan.request(Method::POST, &path).header("Idempotency-Key", format!("card-{card}")).json(&body);
        let answer = persist(fan, met, paying).await;
        match answer.status {
            200 => return Told::Paid,
            402 => drop(answer.problem(402, "payment-declined")),
            // It has expired or was cancelled.
            _ => {
                answer.problem(409, "payment-not-payable");
                return Told::TooLate;
            }
        }
    }
    Told::Declined
}

async fn cancel(fan: &Fan, met: &Met, booking: &str) -> Told {
    let path = format!("/bookings/{booking}");
    let answer = persist(fan, met, || fan.request(Method::DELETE, &path)).await;
    if answer.status == 200 {
        return Told::Canceled;
    }
    // It has expired.
    answer.problem(409, "not-cancelable");
    Told::TooLate
}

/// Asks again while nobody answers, and as late as it is told while the answer is "later".
async fn persist(fan: &Fan, met: &Met, request: impl Fn() -> RequestBuilder) -> Answer {
    let start = Instant::now();
    loop {
        let answer = fan.try_send(request()).await;
        let wait = match &answer {
            Ok(answer) if answer.status == 503 => {
                met.later.fetch_add(1, Relaxed);
                Duration::from_secs(answer.retry_after())
            }
            Ok(_) => return answer.unwrap(),
            Err(_) => {
                met.silence.fetch_add(1, Relaxed);
                BREATH
            }
        };
        assert!(start.elapsed() < PATIENCE, "asked for {PATIENCE:?}, in vain; at last {answer:?}");
        sleep(wait).await;
    }
}
