//! The newest part of the log in memory, for followers in this process.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{Position, RecordedEvent, cache::Aggregates, follow::READ_EVENTS_MAX, last_position, read_after};

/// Events kept in memory; a follower that is further behind reads Postgres.
const TAIL_EVENTS_MAX: usize = 32_768;
/// Bytes kept in memory, likewise.
const TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often Postgres is asked for events that another process appended.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// A contiguous end of the log, and the news that it has grown.
pub(crate) struct Tail {
    window: Mutex<Window>,
    last: watch::Sender<Position>,
    /// A batch was committed that does not join the window: another process was in between.
    gap: Notify,
}

struct Window {
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
    last: Position,
}

/// What a follower gets from memory.
pub(crate) enum Held {
    /// The next events.
    Events(Vec<Arc<RecordedEvent>>),
    /// Nothing newer is known.
    Nothing,
    /// It is too far behind for memory; what it misses is in Postgres up to here.
    Older(Position),
}

impl Tail {
    pub fn new(last: Position) -> Self {
        let window = Window { events: VecDeque::new(), bytes: 0, last };
        Self { window: Mutex::new(window), last: watch::Sender::new(last), gap: Notify::new() }
    }

    /// The last position that followers can see.
    pub fn last(&self) -> Position {
        *self.last.borrow()
    }

    pub fn changes(&self) -> watch::Receiver<Position> {
        self.last.subscribe()
    }

    /// Adds committed events, where they join what is held; else they are read back in order.
    pub fn offer(&self, events: Vec<Arc<RecordedEvent>>) {
        let Some(first) = events.first().map(|event| event.position) else { return };
        let mut window = self.window.lock();
        if first == window.last.next() {
            // Told under the lock, so that it never goes back.
            self.last.send_replace(window.push(events));
        } else {
            drop(window);
            self.gap.notify_one();
        }
    }

    pub fn after(&self, position: Position, max: usize) -> Held {
        let window = self.window.lock();
        if position >= window.last {
            return Held::Nothing;
        }
        let first = Position(window.last.0 - window.events.len() as u64);
        if position < first {
            return Held::Older(first);
        }
        let skip = usize::try_from(position.0 - first.0).unwrap_or(usize::MAX);
        Held::Events(window.events.iter().skip(skip).take(max).cloned().collect())
    }

    /// Finds what other processes append, until told to stop, and makes outdated cached states be loaded again.
    pub async fn watch(&self, pool: &PgPool, cache: &Aggregates, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.gap.notified() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
            if let Err(error) = self.catch_up(pool, cache).await {
                tracing::warn!(%error, "the end of the log could not be read; trying again");
            }
        }
    }

    async fn catch_up(&self, pool: &PgPool, cache: &Aggregates) -> Result<(), crate::ReadError> {
        let head = last_position(pool).await?;
        while self.last() < head {
            let events = read_after(pool, self.last(), READ_EVENTS_MAX).await?;
            for event in &events {
                cache.observe(event.aggregate, event.aggregate_id, event.sequence);
            }
            let joined = self.join(events);
            if !joined {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Adds what is new of `events`, some of which the writer may have offered meanwhile.
    fn join(&self, events: Vec<RecordedEvent>) -> bool {
        let mut window = self.window.lock();
        let known = window.last;
        let new: Vec<_> = events.into_iter().filter(|event| event.position > known).map(Arc::new).collect();
        if new.is_empty() {
            return false;
        }
        self.last.send_replace(window.push(new));
        true
    }
}

impl Window {
    fn push(&mut self, events: Vec<Arc<RecordedEvent>>) -> Position {
        for event in events {
            self.last = event.position;
            self.bytes += event.weight_bytes();
            self.events.push_back(event);
        }
        while self.events.len() > TAIL_EVENTS_MAX || self.bytes > TAIL_BYTES_MAX {
            let Some(event) = self.events.pop_front() else { break };
            self.bytes -= event.weight_bytes();
        }
        self.last
    }
}
