//! The journal in memory: a log, the states that it has made, and checkpoints. As in Postgres, a unit of work is written
//! as a whole or not at all: not if one of the streams it appends to has grown, nor if its checkpoint was moved.

use std::{collections::BTreeMap, fmt::Debug};

use aggregates::{AggregateType, Booking, BookingEvent, Concert, ConcertEvent, Decide, Event, Payment, PaymentEvent};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use uuid::Uuid;

use super::draft::Draft;
use crate::{
    Breach, Checker, Origin,
    checker::{booking_of, concert_of, payment_of},
};

/// Names an aggregate, whatever its kind.
pub(super) type Key = (AggregateType, Uuid);

/// An event as it is in the log.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub at: DateTime<Utc>,
    pub event: Event,
}

/// Why a unit was not written, for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A stream had grown.
    Conflict,
    /// The checkpoint was elsewhere.
    CheckpointMoved,
}

/// An aggregate's state, from `position` on.
#[derive(Clone, Debug)]
struct Version<A> {
    position: u64,
    sequence: u64,
    state: A,
}

/// All versions of all aggregates of a kind.
#[derive(Clone, Debug)]
pub(super) struct Shelf<A>(BTreeMap<Uuid, Vec<Version<A>>>);

#[derive(Debug, Default)]
pub(super) struct Log {
    pub entries: Vec<Entry>,
    pub checker: Checker,
    concerts: Shelf<Concert>,
    bookings: Shelf<Booking>,
    payments: Shelf<Payment>,
    checkpoints: BTreeMap<&'static str, u64>,
    units: u64,
}

/// An aggregate that the log keeps.
pub(super) trait Kept: Decide + Aggregate<Command: Debug> + Debug {
    fn shelf(log: &Log) -> &Shelf<Self>;
    fn event(event: Self::Event) -> Event;
}

impl Kept for Concert {
    fn shelf(log: &Log) -> &Shelf<Self> {
        &log.concerts
    }

    fn event(event: ConcertEvent) -> Event {
        Event::Concert(event)
    }
}

impl Kept for Booking {
    fn shelf(log: &Log) -> &Shelf<Self> {
        &log.bookings
    }

    fn event(event: BookingEvent) -> Event {
        Event::Booking(event)
    }
}

impl Kept for Payment {
    fn shelf(log: &Log) -> &Shelf<Self> {
        &log.payments
    }

    fn event(event: PaymentEvent) -> Event {
        Event::Payment(event)
    }
}

impl<A> Default for Shelf<A> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<A: Aggregate + Clone> Shelf<A> {
    /// State and sequence as they were at `position`, and the position since which they were so.
    fn at(&self, id: Uuid, position: u64) -> (A, u64, u64) {
        let versions = self.0.get(&id).map_or(&[][..], Vec::as_slice);
        match versions.iter().rev().find(|version| version.position <= position) {
            Some(version) => (version.state.clone(), version.sequence, version.position),
            None => (A::default(), 0, 0),
        }
    }

    fn push(&mut self, id: Uuid, position: u64, event: A::Event) {
        let versions = self.0.entry(id).or_default();
        let (mut state, sequence) =
            versions.last().map_or((A::default(), 0), |last| (last.state.clone(), last.sequence));
        state.apply(event);
        versions.push(Version { position, sequence: sequence + 1, state });
    }

    fn sequence(&self, id: Uuid) -> u64 {
        self.0.get(&id).and_then(|versions| versions.last()).map_or(0, |last| last.sequence)
    }

    pub fn newest(&self) -> impl Iterator<Item = &A> {
        self.0.values().filter_map(|versions| versions.last()).map(|version| &version.state)
    }
}

impl Log {
    /// The position of the last event.
    pub fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    /// An aggregate's state and sequence at `position`, and since which position they were so.
    pub fn state_at<A: Kept>(&self, id: Uuid, position: u64) -> (A, u64, u64) {
        A::shelf(self).at(id, position)
    }

    /// An aggregate's newest state.
    pub fn state<A: Kept>(&self, id: Uuid) -> A {
        self.state_at(id, self.head()).0
    }

    /// The events after `position`, up to `until`, `max` at most.
    pub fn after(&self, position: u64, until: u64, max: usize) -> &[Entry] {
        let (from, until) = (place(position), place(until));
        self.entries.get(from..until.min(from.saturating_add(max))).unwrap_or_default()
    }

    pub fn checkpoint(&self, name: &str) -> u64 {
        self.checkpoints.get(name).copied().unwrap_or(0)
    }

    /// Writes a unit of work.
    pub fn commit(&mut self, draft: &Draft, at: DateTime<Utc>) -> Result<Result<(), Refusal>, Breach> {
        if draft.changed().any(|(key, base)| self.sequence(key) != base) {
            return Ok(Err(Refusal::Conflict));
        }
        if let Some(step) = draft.checkpoint {
            if self.checkpoint(step.name) != step.from {
                return Ok(Err(Refusal::CheckpointMoved));
            }
            self.checkpoints.insert(step.name, step.to);
        }
        self.units += 1;
        for (event, reaction_to) in &draft.events {
            let origin = Origin { reaction_to: *reaction_to, unit: self.units.to_string() };
            let position = self.head() + 1;
            self.checker.push(position, event, &origin)?;
            match event.clone() {
                Event::Concert(event) => self.concerts.push(concert_of(&event).0, position, event),
                Event::Booking(event) => self.bookings.push(booking_of(&event).0, position, event),
                Event::Payment(event) => self.payments.push(payment_of(&event).0, position, event),
                Event::User(_) => {}
            }
            self.entries.push(Entry { at, event: event.clone() });
        }
        Ok(Ok(()))
    }

    fn sequence(&self, (kind, id): Key) -> u64 {
        match kind {
            AggregateType::Concert => self.concerts.sequence(id),
            AggregateType::Booking => self.bookings.sequence(id),
            AggregateType::Payment => self.payments.sequence(id),
            AggregateType::User => 0,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the log is in memory, so its places are a usize")]
const fn place(position: u64) -> usize {
    position as usize
}
