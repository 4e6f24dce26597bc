//! The log as Postgres has it, read with plain SQL and given meaning by the domain.

use std::collections::{BTreeMap, HashMap};

use aggregates::{
    AggregateType, Booking, BookingEvent, BookingId, Concert, ConcertEvent, ConcertId, Event, Payment, PaymentEvent,
    PaymentId, Upcasters,
};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use sqlx::{PgPool, Row};

/// One row of `events`.
#[derive(Debug)]
pub struct Entry {
    /// Place in the log.
    pub position: u64,
    /// When it was committed.
    pub recorded_at: DateTime<Utc>,
    /// Kind of its aggregate.
    pub aggregate: AggregateType,
    /// Its aggregate.
    pub aggregate_id: String,
    /// Place in its aggregate's stream.
    pub sequence: u64,
    /// Its name.
    pub event_type: String,
    /// Its stored text.
    pub payload: String,
    /// Who and why, as stored.
    pub metadata: String,
    /// What it means.
    pub event: Event,
}

/// Every event, in order.
pub struct Log(pub Vec<Entry>);

impl Log {
    /// Reads all of it.
    pub async fn read(pool: &PgPool) -> Self {
        let rows = sqlx::query(
            "SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                    payload::text AS payload, metadata::text AS metadata
             FROM events ORDER BY position",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let upcasters = Upcasters::current();
        let entry = |row: &sqlx::postgres::PgRow| {
            let text = |name: &str| row.get::<String, _>(name);
            let number = |name: &str| row.get::<i64, _>(name).cast_unsigned();
            let aggregate: AggregateType = text("aggregate_type").parse().unwrap();
            let (event_type, payload) = (text("event_type"), text("payload"));
            let event = Event::decode(&upcasters, aggregate, &event_type, &text("event_version"), &payload).unwrap();
            assert_eq!(event.name(), event_type);
            Entry {
                position: number("position"),
                recorded_at: row.get("recorded_at"),
                aggregate,
                aggregate_id: text("aggregate_id"),
                sequence: number("sequence"),
                event_type,
                payload,
                metadata: text("metadata"),
                event,
            }
        };
        Self(rows.iter().map(entry).collect())
    }

    /// Position of the last event.
    pub async fn head(pool: &PgPool) -> u64 {
        let head: i64 =
            sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events").fetch_one(pool).await.unwrap();
        head.cast_unsigned()
    }

    /// Position of the last event in this reading.
    pub fn last(&self) -> u64 {
        self.0.last().map_or(0, |entry| entry.position)
    }

    /// The names of an aggregate's events, in order.
    pub fn names_of(&self, aggregate_id: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|entry| entry.aggregate_id == aggregate_id)
            .map(|entry| entry.event_type.as_str())
            .collect()
    }

    /// How often an event of this name is in it.
    pub fn count(&self, event_type: &str) -> usize {
        self.0.iter().filter(|entry| entry.event_type == event_type).count()
    }

    /// The events of concerts.
    pub fn concerts(&self) -> impl Iterator<Item = &ConcertEvent> {
        self.0.iter().filter_map(|entry| match &entry.event {
            Event::Concert(event) => Some(event),
            Event::User(_) | Event::Booking(_) | Event::Payment(_) => None,
        })
    }

    /// The events of payments.
    pub fn payments(&self) -> impl Iterator<Item = &PaymentEvent> {
        self.0.iter().filter_map(|entry| match &entry.event {
            Event::Payment(event) => Some(event),
            Event::User(_) | Event::Booking(_) | Event::Concert(_) => None,
        })
    }

    /// Every aggregate as its events have made it.
    pub fn fold(&self) -> Folded {
        let mut folded = Folded::default();
        for entry in &self.0 {
            folded.apply(entry);
        }
        folded
    }
}

/// Every aggregate of a log.
#[derive(Default)]
pub struct Folded {
    /// The concerts.
    pub concerts: BTreeMap<ConcertId, Concert>,
    /// The bookings.
    pub bookings: BTreeMap<BookingId, Booking>,
    /// Which bookings were asked of which concert.
    pub concert_of: HashMap<BookingId, ConcertId>,
    /// The payments.
    pub payments: BTreeMap<PaymentId, Payment>,
}

impl Folded {
    /// Adds one event.
    pub fn apply(&mut self, entry: &Entry) {
        let id = &entry.aggregate_id;
        match entry.event.clone() {
            Event::Concert(event) => self.concerts.entry(id.parse().unwrap()).or_default().apply(event),
            Event::Booking(event) => {
                if let BookingEvent::BookingRequested { booking_id, concert_id, .. } = event {
                    self.concert_of.insert(booking_id, concert_id);
                }
                self.bookings.entry(id.parse().unwrap()).or_default().apply(event);
            }
            Event::Payment(event) => self.payments.entry(id.parse().unwrap()).or_default().apply(event),
            Event::User(_) => {}
        }
    }

    /// The counts of a concert: capacity, held, sold, available.
    pub fn tickets(&self, concert: &str) -> [u64; 4] {
        let counts = self.concerts[&concert.parse().unwrap()].counts();
        [counts.capacity, counts.held, counts.sold, counts.available()].map(u64::from)
    }
}
