//! Where a consumer of the log gets it from.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{Follower, Position, ReadError, RecordedEvent};

/// The log in position order without a gap, wherever it comes from: this process's memory, Postgres, or the mirror.
pub trait EventSource: Send {
    /// The next events, at least one and at most `max`; waits for them as long as it takes. Cancelling loses nothing.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>>;

    /// Goes to another place: the next event will be the one after `position`.
    fn seek(&mut self, position: Position);

    /// The position of the last event that was handed out.
    fn position(&self) -> Position;
}

impl EventSource for Follower {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
        Box::pin(self.next(max))
    }

    fn seek(&mut self, position: Position) {
        self.seek(position);
    }

    fn position(&self) -> Position {
        self.position()
    }
}
