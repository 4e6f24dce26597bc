//! A unit of work before it is written: states that it was decided on, and the events that follow.

use std::collections::BTreeMap;

use aggregates::{Booking, Concert, Decide, Event, Payment, PaymentId};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use payments::due::Kind;
use uuid::Uuid;

use super::log::{Kept, Key};

/// A checkpoint's step, valid only from where it is expected to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckpointMove {
    pub name: &'static str,
    pub from: u64,
    pub to: u64,
}

/// A kind of work for a payment is due then, or not any more.
type Work = ((PaymentId, Kind), Option<DateTime<Utc>>);

/// An aggregate in the draft, with what the draft has made of it.
#[derive(Clone, Debug)]
pub(super) struct Stage<A> {
    pub state: A,
    /// Its sequence when it was read.
    pub base: u64,
    changed: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    concerts: BTreeMap<Uuid, Stage<Concert>>,
    bookings: BTreeMap<Uuid, Stage<Booking>>,
    payments: BTreeMap<Uuid, Stage<Payment>>,
    /// Each with the event that the saga reacts to by it.
    pub events: Vec<(Event, Option<u64>)>,
    pub checkpoint: Option<CheckpointMove>,
    /// A command that was refused, if one was that should not be.
    pub refused: Option<String>,
    /// Changes of the table of what is due for payments.
    pub work: Vec<Work>,
}

/// An aggregate that a draft can hold.
pub(super) trait Drafted: Kept {
    fn staged(draft: &mut Draft) -> &mut BTreeMap<Uuid, Stage<Self>>;
}

impl Drafted for Concert {
    fn staged(draft: &mut Draft) -> &mut BTreeMap<Uuid, Stage<Self>> {
        &mut draft.concerts
    }
}

impl Drafted for Booking {
    fn staged(draft: &mut Draft) -> &mut BTreeMap<Uuid, Stage<Self>> {
        &mut draft.bookings
    }
}

impl Drafted for Payment {
    fn staged(draft: &mut Draft) -> &mut BTreeMap<Uuid, Stage<Self>> {
        &mut draft.payments
    }
}

impl Draft {
    /// Only a checkpoint, so far.
    pub fn moving(step: CheckpointMove) -> Self {
        Self { checkpoint: Some(step), ..Self::default() }
    }

    /// The aggregate in this draft, if it was read before.
    pub fn get<A: Drafted>(&mut self, id: Uuid) -> Option<&A> {
        A::staged(self).get(&id).map(|stage| &stage.state)
    }

    /// Takes an aggregate in, as it was read.
    pub fn put<A: Drafted>(&mut self, id: Uuid, state: A, base: u64) {
        A::staged(self).insert(id, Stage { state, base, changed: false });
    }

    /// Decides `command` on an aggregate that was taken in. Returns whether anything follows.
    pub fn decide<A: Drafted>(&mut self, id: Uuid, command: A::Command, cause: Option<u64>) -> Result<bool, A::Error> {
        let Some(stage) = A::staged(self).get_mut(&id) else { return Ok(false) };
        let events = Decide::decide(&stage.state, command)?;
        stage.changed |= !events.is_empty();
        for event in &events {
            Aggregate::apply(&mut stage.state, event.clone());
        }
        let any = !events.is_empty();
        self.events.extend(events.into_iter().map(|event| (A::event(event), cause)));
        Ok(any)
    }

    /// The aggregates that it changes, and their sequences before.
    pub fn changed(&self) -> impl Iterator<Item = (Key, u64)> {
        fn of<A: Kept>(stages: &BTreeMap<Uuid, Stage<A>>) -> impl Iterator<Item = (Key, u64)> {
            stages.iter().filter(|(_, stage)| stage.changed).map(|(id, stage)| ((A::KIND, *id), stage.base))
        }
        of(&self.concerts).chain(of(&self.bookings)).chain(of(&self.payments))
    }

    /// Whether writing it makes any difference.
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.checkpoint.is_none()
    }
}
