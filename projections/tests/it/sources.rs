//! Sources of the log that behave badly, each in its own way.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use journal::{EventSource, Follower, Position, ReadError, RecordedEvent};

/// Hands out a few events at a time, so that there are many batches.
pub struct Small(pub Follower, pub usize);

impl EventSource for Small {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
        self.0.next(max.min(self.1)).boxed()
    }

    fn seek(&mut self, position: Position) {
        self.0.seek(position);
    }

    fn position(&self) -> Position {
        self.0.position()
    }
}

/// Hands out everything at least twice: it goes back after each batch, as after a lost answer.
pub struct Repeating {
    pub source: Follower,
    pub back: u64,
    pub again: bool,
}

impl EventSource for Repeating {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
        async move {
            self.again = !self.again;
            if self.again {
                self.source.seek(Position(self.source.position().0.saturating_sub(self.back)));
            }
            // More than it went back, so that old and new come in one batch too.
            self.source.next(max.min(usize::try_from(self.back).unwrap() + 3)).await
        }
        .boxed()
    }

    fn seek(&mut self, position: Position) {
        self.source.seek(position);
    }

    fn position(&self) -> Position {
        self.source.position()
    }
}

/// Leaves out an event now and then.
pub struct Holey(pub Follower, pub u32);

impl EventSource for Holey {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
        async move {
            self.1 += 1;
            let mut events = self.0.next(max.min(50)).await?;
            if self.1.is_multiple_of(4) && events.len() > 2 {
                events.remove(events.len() / 2);
            }
            Ok(events)
        }
        .boxed()
    }

    fn seek(&mut self, position: Position) {
        self.0.seek(position);
    }

    fn position(&self) -> Position {
        self.0.position()
    }
}
