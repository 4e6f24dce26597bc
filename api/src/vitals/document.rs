//! The document that a process writes.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use journal::Position;
use payments::BreakerState;
use projections::Parked;
use serde::{Deserialize, Serialize};

/// A process at one moment. Another version may say it in another way; then only that it lives is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Vitals {
    /// The machine it runs on.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// Of the product.
    pub version: String,
    /// By its own clock.
    pub started_at: DateTime<Utc>,
    /// Where its HTTP is.
    pub listen: SocketAddr,
    /// The end of the log as it knows it.
    pub journal_position: Position,
    /// Its cache of aggregates.
    pub cache: CacheUse,
    /// Its relay, elected or not.
    pub relay: RelayActivity,
    /// Why its relay has stopped, if it has.
    pub halted: Option<Halted>,
    /// How far the concerts are that it serves.
    pub ticket_counts_position: Position,
    /// How far the booking histories are that it serves.
    pub mypage_position: Position,
    /// What it knows of the payment provider; `None` where none is configured.
    pub breaker: Option<Breaker>,
    /// The holds it watches over; `None` unless its saga is the elected one.
    pub holds: Option<Holds>,
    /// Projections that wait for a person.
    pub standstills: Vec<Standstill>,
    /// Events that its projections could not apply, the first of each.
    #[serde(default)]
    pub parked: Vec<ParkedEvents>,
}

/// Aggregates in memory, and how often one was (not) found there since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CacheUse {
    pub aggregates: usize,
    pub hits: u64,
    pub misses: u64,
}

/// What a relay is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RelayActivity {
    Standby,
    CatchingUp,
    Live,
    Disconnected,
    Halted,
}

/// Why a relay has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Halted {
    pub reason: String,
    pub remedy: String,
}

/// The circuit breaker before the payment provider; the worse the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Breaker {
    /// Payments go to the provider.
    Closed,
    /// Some do, to see how they fare.
    HalfOpen,
    /// They are put off.
    Open,
}

impl From<BreakerState> for Breaker {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Closed => Self::Closed,
            BreakerState::HalfOpen => Self::HalfOpen,
            BreakerState::Open => Self::Open,
        }
    }
}

/// Ends of holds to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Holds {
    /// How many, those of bookings included that were paid or ended before.
    pub waiting: u64,
    /// By how many seconds the first is overdue; 0 where it is not.
    pub overdue_seconds: f64,
    /// How many of them are due.
    #[serde(default)]
    pub due: u64,
    /// How many of them are, or will be within a minute.
    #[serde(default)]
    pub due_in_a_minute: u64,
}

/// A projection that has stopped until somebody looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standstill {
    pub projection: String,
    pub reason: String,
}

/// What a projection has parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParkedEvents {
    pub projection: String,
    /// All of them.
    pub count: usize,
    /// The first of them, by position.
    pub first: Vec<Parked>,
}
