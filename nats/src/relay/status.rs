//! What the relay says about itself.

use std::{fmt, sync::Arc};

use journal::Position;
use tokio::sync::watch;

/// What the relay is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// Another one is elected; this one would take over.
    Standby,
    /// It publishes what the stream lacks.
    CatchingUp,
    /// The stream has all, or all but what is in flight.
    Live,
    /// NATS cannot be reached; it tries on.
    Disconnected,
    /// The stream contradicts the journal. Nothing is published until it is started anew.
    Halted(Arc<Halt>),
}

/// Why the relay has stopped, and what its operator should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// What it found.
    pub reason: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

/// The relay at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayStatus {
    /// What it is doing.
    pub state: RelayState,
    /// The last position that is known to be in the stream.
    pub position: Position,
}

/// Where the relay's status is written; it also feeds the metrics.
#[derive(Debug)]
pub(super) struct Board(watch::Sender<RelayStatus>);

impl Board {
    pub fn new() -> Self {
        metrics::gauge!("relay_halted").set(0.0);
        Self(watch::Sender::new(RelayStatus { state: RelayState::Standby, position: Position(0) }))
    }

    pub fn subscribe(&self) -> watch::Receiver<RelayStatus> {
        self.0.subscribe()
    }

    pub fn position(&self) -> Position {
        self.0.borrow().position
    }

    pub fn set_state(&self, state: RelayState) {
        metrics::gauge!("relay_halted").set(f64::from(u8::from(matches!(state, RelayState::Halted(_)))));
        self.0.send_if_modified(|status| {
            let changed = status.state != state;
            status.state = state;
            changed
        });
    }

    pub fn set(&self, state: RelayState, position: Position) {
        self.0.send_replace(RelayStatus { state, position });
    }

    /// Shows how far the stream is behind a journal that ends at `head`.
    pub fn measure(&self, head: Position) {
        let position = self.position();
        metrics::gauge!("relay_position").set(to_f64(position.0));
        metrics::gauge!("relay_lag_events").set(to_f64(head.0.saturating_sub(position.0)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of more than 2^53 events may be off by one")]
const fn to_f64(number: u64) -> f64 {
    number as f64
}
