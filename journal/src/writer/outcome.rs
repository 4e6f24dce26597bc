//! What becomes of a unit of work, promised when it is queued.

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::{AppendError, Position};

/// A unit of work that is in Postgres, fsynced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Of its first event; of the last event before it where it has none.
    pub first: Position,
    /// Of its last event.
    pub last: Position,
    /// When it was committed.
    pub recorded_at: DateTime<Utc>,
}

type Outcome = Result<Committed, AppendError>;

/// The writer's side.
pub(crate) struct Promise(watch::Sender<Option<Outcome>>);

impl Promise {
    pub fn keep(self, outcome: Outcome) {
        self.0.send_replace(Some(outcome));
    }
}

/// The caller's side: anyone may wait for the same unit, and nobody has to.
#[derive(Clone, Debug)]
pub struct Ticket(watch::Receiver<Option<Outcome>>);

impl Ticket {
    /// Waits until the unit is committed, or has failed.
    pub async fn committed(mut self) -> Outcome {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(AppendError::Closed)),
            Err(_) => Err(AppendError::Closed),
        }
    }

    /// Whether it is committed for certain by now.
    pub fn is_committed(&self) -> bool {
        matches!(*self.0.borrow(), Some(Ok(_)))
    }
}

pub(super) fn settled() -> (Promise, Ticket) {
    let (sender, receiver) = watch::channel(None);
    (Promise(sender), Ticket(receiver))
}
