//! The committed position, for whoever waits to read what it wrote.

use std::{sync::Arc, time::Duration};

use journal::Position;
use tokio::sync::watch;

/// How far something has come. Clones are the same; it only ever moves on.
#[derive(Clone, Debug)]
pub struct Progress(Arc<watch::Sender<Position>>);

impl Progress {
    /// Begins at `position`.
    pub fn new(position: Position) -> Self {
        Self(Arc::new(watch::Sender::new(position)))
    }

    /// The last position that is certainly in.
    pub fn position(&self) -> Position {
        *self.0.borrow()
    }

    /// The news that it has moved on.
    pub fn changes(&self) -> watch::Receiver<Position> {
        self.0.subscribe()
    }

    /// Waits until `position` is in, `timeout` at most; whether it is.
    pub async fn reached(&self, position: Position, timeout: Duration) -> bool {
        if self.position() >= position {
            return true;
        }
        let mut changes = self.changes();
        let reached = tokio::time::timeout(timeout, changes.wait_for(|at| *at >= position)).await;
        // The sender lives as long as we do, so the wait itself cannot fail.
        matches!(reached, Ok(Ok(_)))
    }

    /// Moves on to `position`, never back.
    pub(crate) fn advance(&self, position: Position) {
        self.0.send_if_modified(|at| {
            let moved = position > *at;
            *at = position.max(*at);
            moved
        });
    }
}
