//! Following the log in position order, without a gap, from any position.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::{sync::watch, task::yield_now};

use crate::{
    Position, ReadError, RecordedEvent, read_after,
    tail::{Held, Tail},
};

/// Events read from Postgres at once, at most.
pub const READ_EVENTS_MAX: usize = 4_096;

/// A place in the log that moves on as it is read: from memory near the end, from Postgres further back.
pub struct Follower {
    pool: PgPool,
    tail: Arc<Tail>,
    changes: watch::Receiver<Position>,
    at: Position,
}

impl Follower {
    pub(crate) fn new(pool: PgPool, tail: Arc<Tail>, after: Position) -> Self {
        let changes = tail.changes();
        Self { pool, tail, changes, at: after }
    }

    /// The position of the last event that was handed out.
    pub const fn position(&self) -> Position {
        self.at
    }

    /// Goes to another place: the next event will be the one after `position`.
    pub const fn seek(&mut self, position: Position) {
        self.at = position;
    }

    /// The next events, at least one and at most `max`; waits for them as long as it takes. Cancelling loses nothing.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        loop {
            self.changes.mark_unchanged();
            let events = match self.tail.after(self.at, max) {
                Held::Events(events) => events,
                Held::Older(until) => self.read(until, max).await?,
                Held::Nothing => {
                    if self.changes.changed().await.is_err() {
                        return Err(ReadError::Database(sqlx::Error::PoolClosed));
                    }
                    // Whoever can run now comes first: under load the log grows meanwhile, and a follower's batch costs
                    // much the same whatever is in it.
                    yield_now().await;
                    continue;
                }
            };
            if let Some(last) = events.last() {
                self.at = last.position;
                return Ok(events);
            }
        }
    }

    async fn read(&self, until: Position, max: usize) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let missing = usize::try_from(until.0 - self.at.0).unwrap_or(usize::MAX);
        let events = read_after(&self.pool, self.at, max.min(missing).min(READ_EVENTS_MAX)).await?;
        match events.first() {
            Some(first) if first.position == self.at.next() => Ok(events.into_iter().map(Arc::new).collect()),
            Some(_) | None => Err(ReadError::Missing(self.at.next())),
        }
    }
}
