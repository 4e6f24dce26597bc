//! What is in Postgres in the end, and whether it agrees with the provider.

use std::collections::{BTreeMap, HashSet};

use aggregates::{Event, PaymentEvent, Upcasters};
use journal::{Metadata, Position, read_after};
use payments::{Provider as _, TossProvider, simulator::Counts};
use proof::{Checker, Moved, Origin, Tally};
use sqlx::PgPool;
use uuid::Uuid;

/// Events read at once.
const READ_EVENTS: usize = 4_096;

/// What the log held.
#[derive(Debug)]
pub struct Checked {
    pub counts: Counts,
    pub tally: Tally,
    events: u64,
}

/// No try to pay is without its outcome.
pub async fn are_tries_settled(pool: &PgPool) -> bool {
    if !is_hurried(pool, "kind <> 'verify' AND due_at > now()").await {
        return false;
    }
    let open: i64 =
        sqlx::query_scalar("SELECT count(*) FROM payment_work WHERE kind = 'settle'").fetch_one(pool).await.unwrap();
    open == 0 && is_caught_up(pool).await
}

/// Nothing is due, nothing is held, and everybody has seen the whole log.
pub async fn are_settled(pool: &PgPool) -> bool {
    if !is_hurried(pool, "due_at > now()").await {
        return false;
    }
    let due: i64 = sqlx::query_scalar("SELECT count(*) FROM payment_work").fetch_one(pool).await.unwrap();
    if due > 0 || !is_caught_up(pool).await {
        return false;
    }
    let log = fold(pool).await.0;
    log.settled(&log.moved()).is_ok()
}

/// Nobody waits for what only time brings. The product writes several of these rows at once too, in another order, so that
/// Postgres may undo ours; then it is for the next time.
async fn is_hurried(pool: &PgPool, which: &str) -> bool {
    const DEADLOCK_DETECTED: &str = "40P01";
    match sqlx::query(&format!("UPDATE payment_work SET due_at = now() WHERE {which}")).execute(pool).await {
        Ok(_) => true,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DEADLOCK_DETECTED) => false,
        Err(error) => panic!("the due payments cannot be hurried: {error}"),
    }
}

async fn is_caught_up(pool: &PgPool) -> bool {
    let head = journal::last_position(pool).await.unwrap();
    for name in [saga::CHECKPOINT, payments::due::CHECKPOINT] {
        if journal::checkpoint(pool, name).await.unwrap() != head {
            return false;
        }
    }
    true
}

/// Reads the whole log, and compares it with the provider's books.
pub async fn check(pool: &PgPool, toss: &TossProvider, counts: Counts) -> Checked {
    let (checker, tally, events) = fold(pool).await;
    let mut books = BTreeMap::new();
    for payment in checker.moved().keys() {
        let Some(paid) = toss.lookup_order(*payment).await.unwrap() else { continue };
        let charged = if paid.status.was_charged() { paid.amount.amount } else { 0 };
        let refunded = paid.cancels.iter().map(|cancel| cancel.amount.amount).sum();
        books.insert(*payment, Moved { charged, refunded });
    }
    if let Err(breach) = checker.settled(&books) {
        panic!("{}\n{breach}", story(pool, &breach.what).await);
    }
    // Also in all: nothing was charged or refunded twice, or for somebody whom the log does not know.
    let sum = |of: fn(&Moved) -> u64| books.values().map(of).sum::<u64>();
    assert_eq!((counts.charged, counts.refunded), (sum(|moved| moved.charged), sum(|moved| moved.refunded)));
    let movements =
        books.values().map(|moved| u64::from(moved.charged > 0) + u64::from(moved.refunded > 0)).sum::<u64>();
    assert_eq!(counts.money_movements, movements, "distinct movements of money");
    Checked { counts, tally, events }
}

/// All events that name whom the breach names first; their metadata name the schedule.
async fn story(pool: &PgPool, breach: &str) -> String {
    let id = breach.split(['(', ')']).find(|word| word.parse::<Uuid>().is_ok()).unwrap_or("nobody");
    let events: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', position, recorded_at, payload, metadata) FROM events
         WHERE payload::text LIKE '%' || $1 || '%' ORDER BY position",
    )
    .bind(id)
    .fetch_all(pool)
    .await
    .unwrap();
    events.join("\n")
}

async fn fold(pool: &PgPool) -> (Checker, Tally, u64) {
    let (mut checker, mut tally, mut at) = (Checker::default(), Tally::default(), Position(0));
    let (upcasters, mut names, mut given_up) = (Upcasters::current(), Vec::new(), HashSet::new());
    loop {
        let events = read_after(pool, at, READ_EVENTS).await.unwrap();
        let Some(last) = events.last() else { return (checker, tally, at.0) };
        at = last.position;
        for recorded in &events {
            let event = recorded.decode(&upcasters).unwrap();
            names.push(event.name());
            let origin = origin(&recorded.metadata, &names);
            if let Err(breach) = checker.push(recorded.position.0, &event, &origin) {
                panic!("{breach}: {event:?} {}", recorded.metadata);
            }
            tally.met(event.name());
            match event {
                Event::Payment(PaymentEvent::PaymentCanceled { refunded: true, .. }) => tally.met("refund"),
                Event::Payment(PaymentEvent::PaymentAttemptAbandoned { attempt_id, .. }) => {
                    given_up.insert(attempt_id);
                }
                Event::Payment(PaymentEvent::PaymentApproved { attempt_id, .. }) if given_up.contains(&attempt_id) => {
                    tally.met("late money");
                }
                Event::Payment(_) | Event::Booking(_) | Event::Concert(_) | Event::User(_) => {}
            }
        }
    }
}

/// Why an event is in the log, from its metadata.
fn origin(metadata: &str, names: &[&str]) -> Origin {
    let map: serde_json::Value = serde_json::from_str(metadata).unwrap();
    let known: Metadata = serde_json::from_str(metadata).unwrap();
    let unit = map["unit"].as_str().unwrap_or_default().to_owned();
    let cause = known.causation.strip_prefix("event:").and_then(|position| position.parse::<u64>().ok());
    let is_saga = &*known.actor == "saga";
    // The bookings of a concert that was called off are cancelled in rounds, by an office of their own.
    let is_reaction = |cause: &u64| {
        let name = usize::try_from(*cause - 1).ok().and_then(|place| names.get(place));
        is_saga && name.is_some_and(|name| *name != "ConcertCanceled")
    };
    Origin { reaction_to: cause.filter(is_reaction), unit }
}

impl Checked {
    /// For people.
    pub fn tell(&self, told: &Tally) {
        eprintln!("{} events, and at the provider {:?}", self.events, self.counts);
        for (what, count) in self.tally.iter().chain(told.iter()) {
            eprintln!("{count:>8} {what}");
        }
    }

    /// A proof that never got anywhere would pass too.
    pub fn met_everything(&self) {
        for what in [
            "BookingApproved",
            "BookingRejected",
            "BookingCanceled",
            "BookingExpired",
            "PaymentDeclined",
            "PaymentAttemptAbandoned",
            "ConcertCanceled",
            "TicketsSold",
            "TicketsReleased",
            "refund",
            "late money",
        ] {
            assert!(self.tally.count(what) > 0, "never: {what}");
        }
    }
}
