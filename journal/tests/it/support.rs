//! What the tests have in common.

use std::sync::Arc;

use aggregates::{
    BookingCommand, BookingId, ConcertCommand, ConcertId, Money, Qty, UserId,
    booking::{CancelReason, Request},
    concert::Register,
};
use journal::{Journal, JournalOptions, Metadata, Position, RecordedEvent, read_after};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use stack::Postgres;
use uuid::Uuid;

pub struct World {
    pub postgres: Postgres,
    pub journal: Journal,
}

impl World {
    pub async fn start() -> Self {
        let postgres = Postgres::temp().await.unwrap();
        let journal = open(&postgres.url()).await;
        Self { postgres, journal }
    }

    /// A connection of the test's own, beside the journal's.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect_with(&options(&self.postgres.url())).await.unwrap()
    }

    /// Holds the head of the log: no append gets through until the gate is opened.
    pub async fn close_gate(&self) -> Gate {
        let mut connection = self.connection().await;
        sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
        sqlx::query("SELECT FROM journal_head FOR UPDATE").execute(&mut connection).await.unwrap();
        Gate(connection)
    }

    /// Waits until an append stands before the closed gate.
    pub async fn somebody_at_the_gate(&self) {
        let mut connection = self.connection().await;
        for _ in 0..10_000 {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%journal_head%'",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            if waiting > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("no append came to the gate");
    }

    pub async fn log(&self) -> Vec<RecordedEvent> {
        read_after(self.journal.pool(), Position(0), 1_000_000).await.unwrap()
    }
}

/// The head of the log, locked.
pub struct Gate(pub PgConnection);

impl Gate {
    pub async fn open(mut self) {
        sqlx::query("COMMIT").execute(&mut self.0).await.unwrap();
    }
}

pub fn options(url: &str) -> PgConnectOptions {
    url.parse().unwrap()
}

pub async fn open(url: &str) -> Journal {
    Journal::open(options(url), JournalOptions::default()).await.unwrap()
}

pub fn metadata() -> Metadata {
    Metadata::of_request("test", "r1")
}

pub fn qty(tickets: u32) -> Qty {
    Qty::new(tickets).unwrap()
}

pub fn request(id: Uuid, tickets: u32) -> BookingCommand {
    BookingCommand::Request(Request {
        booking_id: BookingId(id),
        concert_id: ConcertId(Uuid::nil()),
        user_id: UserId(Uuid::nil()),
        qty: qty(tickets),
    })
}

pub const CANCEL: BookingCommand = BookingCommand::Cancel { reason: CancelReason::ByFan };

pub fn register(id: Uuid, capacity: u32) -> ConcertCommand {
    ConcertCommand::Register(Register {
        concert_id: ConcertId(id),
        organizer_id: UserId(Uuid::nil()),
        name: "Autumn".to_owned(),
        venue: None,
        starts_at: None,
        capacity,
        price: Money::krw(1_000),
        max_per_booking: None,
        hold_seconds: 600,
    })
}

pub fn hold(concert: Uuid) -> ConcertCommand {
    ConcertCommand::Hold {
        concert_id: ConcertId(concert),
        booking_id: BookingId(Uuid::now_v7()),
        user_id: UserId(Uuid::nil()),
        qty: qty(1),
        now: chrono::DateTime::UNIX_EPOCH,
    }
}

/// Positions are 1, 2, 3 …; sequences of every aggregate are 1, 2, 3 …; time never goes back.
pub fn assert_gapless(log: &[RecordedEvent]) {
    let mut sequences = std::collections::HashMap::new();
    let mut time = chrono::DateTime::<chrono::Utc>::MIN_UTC;
    for (event, position) in log.iter().zip(1..) {
        assert_eq!(event.position, Position(position), "positions have a gap");
        let last: &mut u64 = sequences.entry((event.aggregate, event.aggregate_id)).or_default();
        *last += 1;
        assert_eq!(event.sequence.0, *last, "sequences of {} have a gap", event.aggregate_id);
        assert!(event.recorded_at >= time, "time went back at {position}");
        time = event.recorded_at;
    }
}

/// Runs `tasks` of them at once and waits for all.
pub async fn all<F: Future<Output = ()> + Send + 'static>(tasks: impl IntoIterator<Item = F>) {
    let mut set = tokio::task::JoinSet::new();
    for task in tasks {
        set.spawn(task);
    }
    set.join_all().await;
}

pub type Shared<T> = Arc<parking_lot::Mutex<T>>;
