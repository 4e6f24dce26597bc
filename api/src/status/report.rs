//! What one look has found; as JSON this is what scripts get.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use journal::Position;
use serde::Serialize;
use uuid::Uuid;

use super::money::{Cancellation, Work};
use crate::vitals::{Breaker, Halted, Holds, ParkedEvents, RelayActivity, Standstill, Vitals};

/// The whole system at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// By the clock of Postgres.
    pub at: DateTime<Utc>,
    /// Nothing is wrong.
    pub ok: bool,
    /// What is.
    pub troubles: Vec<Trouble>,
    pub journal: Log,
    pub relay: Relay,
    /// Everybody who follows the log, the relay first.
    pub followers: Vec<Follower>,
    pub offices: Vec<Office>,
    pub payments: Payments,
    /// Of the elected saga; `None` where it has not told (yet).
    pub holds: Option<Holds>,
    /// Of all processes together.
    pub cache: Cache,
    pub concert_cancellations: Vec<Cancellation>,
    /// Events that could not be projected.
    pub parked: Vec<ParkedIn>,
    /// Projections that are being made anew.
    pub rebuilds: Vec<Rebuild>,
    pub processes: Vec<Process>,
}

/// What a projection has parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParkedIn {
    /// Whose, where it is one process's.
    pub process: Option<Uuid>,
    #[serde(flatten)]
    pub events: ParkedEvents,
}

/// A projection that is being made anew.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rebuild {
    pub projection: String,
    /// The file, where it is one a process.
    pub place: Option<String>,
    pub generation: u32,
    /// What it is doing: `loading`, `indexing`, `following`, `comparing`, `switching`, `switched`.
    pub phase: String,
    /// The log up to here is in it.
    pub position: Position,
    /// Where the live copy is.
    pub target: Position,
    /// For how long it has been at it.
    pub seconds: f64,
    /// How long ago it said so.
    pub told_seconds_ago: f64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trouble {
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// The end of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Log {
    pub position: Position,
    /// When its last event was recorded.
    pub recorded_at: Option<DateTime<Utc>>,
    pub events_per_second: f64,
}

/// Who fills JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Relay {
    /// What the elected one is doing, or one that is halted.
    pub state: Option<RelayActivity>,
    pub halted: Option<Halted>,
    /// Why JetStream could not be asked.
    pub unreachable: Option<String>,
}

/// Somebody who follows the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Follower {
    /// The name of its checkpoint; `relay`, `mypage` and `concerts` (the counts as a process serves them) have none there.
    pub name: String,
    /// Whose, where it is one process's.
    pub process: Option<Uuid>,
    /// Everything up to here is handled; `None` where that is not known.
    pub position: Option<Position>,
    /// Events not handled yet.
    pub lag_events: Option<u64>,
    /// Age of the first of these; 0 where there is none.
    pub lag_seconds: Option<f64>,
}

/// Something that one process does for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Office {
    pub name: String,
    pub held: bool,
    /// By whom, where it is one of our processes.
    pub process: Option<Uuid>,
}

/// Money on its way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payments {
    /// Whether any process has a payment provider; `None` where none tells.
    pub configured: Option<bool>,
    /// Open where it is in any process.
    pub breaker: Option<Breaker>,
    /// By kind: `settle` (attempts without an outcome yet), `refund`, `verify` (attempts that were given up), `webhook`.
    pub work: BTreeMap<String, Work>,
}

/// Aggregates in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cache {
    pub aggregates: u64,
    pub look_ups: u64,
    /// Share of look-ups that found what they looked for; `None` before the first.
    pub hit_rate: Option<f64>,
}

/// One of our processes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    #[serde(rename = "process")]
    pub id: Uuid,
    /// Whether it has written lately.
    pub live: bool,
    pub seen_seconds_ago: f64,
    /// What it wrote last; nothing where it is of a version that says it in another way.
    #[serde(flatten)]
    pub vitals: Option<Vitals>,
}

impl Process {
    /// What people call it.
    pub fn label(&self) -> String {
        match &self.vitals {
            Some(vitals) => format!("{}:{}", vitals.host, vitals.pid),
            None => self.id.to_string(),
        }
    }

    /// Its projections that stand still.
    pub fn standstills(&self) -> &[Standstill] {
        self.vitals.as_ref().map_or(&[], |vitals| &vitals.standstills)
    }
}

impl Report {
    /// The processes that live.
    pub fn live(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.live)
    }

    /// What people call a process.
    pub fn label(&self, process: Uuid) -> String {
        let known = self.processes.iter().find(|known| known.id == process);
        known.map_or_else(|| process.to_string(), Process::label)
    }
}
