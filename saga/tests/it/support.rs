//! What the tests have in common.

use std::{collections::HashMap, time::Duration};

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingId, Concert, ConcertCommand, ConcertId, Counts, Money, Payment,
    PaymentCommand, PaymentId, PaymentStatus, Qty, UserId,
    booking::{CancelReason, Request},
    concert::Register,
    payment::Outcome,
};
use chrono::Utc;
use journal::{Journal, JournalOptions, Metadata, Position, RecordedEvent, read_after};
use saga::Saga;
use sqlx::{Connection as _, PgConnection};
use stack::{Postgres, testing::eventually};
use uuid::Uuid;

pub struct World {
    pub postgres: Postgres,
    pub journal: Journal,
    pub concert: ConcertId,
}

impl World {
    pub async fn with_tickets(capacity: u32) -> Self {
        Self::holding(capacity, 600).await
    }

    /// A concert that holds tickets for so many seconds.
    pub async fn holding(capacity: u32, hold_seconds: u32) -> Self {
        let postgres = Postgres::temp().await.unwrap();
        let journal = open(&postgres).await;
        let concert = ConcertId(Uuid::now_v7());
        let terms = Register {
            concert_id: concert,
            organizer_id: UserId(Uuid::nil()),
            name: "Autumn".to_owned(),
            venue: None,
            starts_at: None,
            capacity,
            price: Money::krw(1_000),
            max_per_booking: None,
            hold_seconds,
        };
        journal.execute_new::<Concert>(concert.0, ConcertCommand::Register(terms), &metadata()).await.unwrap();
        Self { postgres, journal, concert }
    }

    pub async fn request(&self, tickets: u32) -> BookingId {
        let booking_id = BookingId(Uuid::now_v7());
        let qty = Qty::new(tickets).unwrap();
        let request = Request { booking_id, concert_id: self.concert, user_id: UserId(Uuid::nil()), qty };
        self.journal.execute_new::<Booking>(booking_id.0, BookingCommand::Request(request), &metadata()).await.unwrap();
        booking_id
    }

    /// Holds the head of the log: no append gets through until the gate is opened.
    pub async fn close_gate(&self) -> Gate {
        let mut connection = PgConnection::connect_with(self.journal.connect_options()).await.unwrap();
        sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
        sqlx::query("SELECT FROM journal_head FOR UPDATE").execute(&mut connection).await.unwrap();
        Gate(connection)
    }

    /// Waits until so many appends stand before the closed gate.
    pub async fn somebody_at_the_gate(&self, count: i64) {
        eventually("appends to come to the gate", DEADLINE, || async {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%journal_head%'",
            )
            .fetch_one(self.journal.pool())
            .await
            .unwrap();
            waiting >= count
        })
        .await;
    }

    pub async fn cancel(&self, booking: BookingId) {
        let cancel = BookingCommand::Cancel { reason: CancelReason::ByFan };
        self.journal.execute::<Booking>(booking.0, cancel, &metadata()).await.unwrap();
    }

    /// Pays as the provider would: intent, then outcome.
    pub async fn pay(&self, booking: BookingId) {
        let payment = PaymentId::of(booking);
        let attempt_id = AttemptId::derived(payment, "1");
        let settle = PaymentCommand::Settle {
            attempt_id,
            outcome: Outcome::Approved { approved_at: Utc::now(), payment_key: "k".to_owned() },
        };
        for command in [attempt(payment), settle] {
            self.journal.execute::<Payment>(payment.0, command, &metadata()).await.unwrap();
        }
    }

    pub async fn refund(&self, booking: BookingId) {
        let payment = PaymentId::of(booking);
        self.journal.execute::<Payment>(payment.0, PaymentCommand::Refunded, &metadata()).await.unwrap();
    }

    /// Lets a saga work until it has seen the whole log.
    pub async fn settle(&self) {
        let mut saga = Saga::resume(&self.journal).await.unwrap();
        while saga.position() < self.journal.position() {
            saga.step(64).await.unwrap();
        }
    }

    pub async fn booking(&self, booking: BookingId) -> Booking {
        self.journal.load(booking.0).await.unwrap().state
    }

    pub async fn payment(&self, booking: BookingId) -> Option<PaymentStatus> {
        self.journal.load::<Payment>(PaymentId::of(booking).0).await.unwrap().state.status()
    }

    pub async fn counts(&self) -> Counts {
        self.journal.load::<Concert>(self.concert.0).await.unwrap().state.counts()
    }

    pub async fn log(&self) -> Vec<RecordedEvent> {
        read_after(self.journal.pool(), Position(0), 1_000_000).await.unwrap()
    }
}

/// A try to pay, made now.
pub fn attempt(payment: PaymentId) -> PaymentCommand {
    let attempt_id = AttemptId::derived(payment, "1");
    PaymentCommand::Attempt { attempt_id, payment_key: "k".to_owned(), now: Utc::now() }
}

/// The head of the log, locked.
pub struct Gate(PgConnection);

impl Gate {
    pub async fn open(mut self) {
        sqlx::query("COMMIT").execute(&mut self.0).await.unwrap();
    }
}

/// How often each event occurred, per aggregate: none of ours may occur twice.
pub fn occurrences(log: &[RecordedEvent]) -> HashMap<(Uuid, String, String), usize> {
    let mut occurrences = HashMap::new();
    for event in log {
        // A concert has one hold, sale and release a booking; the causing event tells them apart.
        let cause = if event.aggregate == aggregates::AggregateType::Concert {
            event.metadata_field("causation")
        } else {
            String::new()
        };
        *occurrences.entry((event.aggregate_id, event.event_type.to_string(), cause)).or_default() += 1;
    }
    occurrences
}

trait MetadataField {
    fn metadata_field(&self, name: &str) -> String;
}

impl MetadataField for RecordedEvent {
    fn metadata_field(&self, name: &str) -> String {
        let needle = format!("\"{name}\":\"");
        let from = self.metadata.find(&needle).map_or(0, |at| at + needle.len());
        self.metadata[from..].split('"').next().unwrap_or_default().to_owned()
    }
}

pub async fn open(postgres: &Postgres) -> Journal {
    Journal::open(postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap()
}

pub fn metadata() -> Metadata {
    Metadata::of_request("test", "r1")
}

pub const DEADLINE: Duration = Duration::from_secs(30);
