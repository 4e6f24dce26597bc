//! The one writer: takes all that queued up while the last commit was in flight, and commits it as one.

mod batch;
mod outcome;
mod statement;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use batch::Batch;
pub use outcome::{Committed, Ticket};
use outcome::{Promise, settled};
use sqlx::postgres::PgConnectOptions;
use statement::{Connection, WriteError};
use tokio::{sync::mpsc, task::yield_now};

use crate::{AppendError, append::Append, cache::Aggregates, snapshot::Snapshots, tail::Tail};

/// Units of work that may wait for the writer; when it is full, commands wait for [`QUEUE_WAIT_MAX`].
pub(crate) const QUEUE_UNITS_MAX: usize = 8_192;
/// How long a command waits for room in the queue before it is told that the journal is overloaded.
pub const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the writer tries to reach Postgres, or to learn what became of a commit, before it gives a batch up.
const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// A unit of work in the queue, and whom to tell.
pub(crate) struct Queued {
    pub append: Append,
    pub promise: Promise,
}

pub(crate) struct Writer {
    connection: Connection,
    tail: Arc<Tail>,
    cache: Arc<Aggregates>,
    snapshots: Snapshots,
}

impl Writer {
    pub fn new(options: PgConnectOptions, tail: Arc<Tail>, cache: Arc<Aggregates>, snapshots: Snapshots) -> Self {
        Self { connection: Connection::new(options, RECONNECT_MAX), tail, cache, snapshots }
    }

    /// Writes until every sender is gone and the queue is empty.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Queued>) {
        let mut waiting = VecDeque::new();
        let mut taken = Vec::new();
        loop {
            if waiting.is_empty() && queue.recv_many(&mut taken, QUEUE_UNITS_MAX).await == 0 {
                break;
            }
            // Whoever can run now comes first: under load those are the ones who have something for this batch, which costs
            // much the same whatever is in it. Where there is nobody it is a turn of the scheduler.
            yield_now().await;
            while taken.len() < QUEUE_UNITS_MAX
                && let Ok(queued) = queue.try_recv()
            {
                taken.push(queued);
            }
            waiting.extend(taken.drain(..));
            let batch = Batch::take(&mut waiting);
            self.write(batch).await;
        }
        self.connection.close().await;
    }

    /// Writes a batch as one; where that fails for a certainty, its units one by one, so that only those fail that
    /// must.
    async fn write(&mut self, batch: Batch) {
        let live = batch.fail_stale();
        if live.is_empty() {
            return;
        }
        metrics::histogram!("journal_batch_events").record(precise(live.events()));
        match self.connection.write(&live.appends()).await {
            Ok(written) => self.committed(live, &written),
            Err(error) if live.len() == 1 || !error.is_certain() => live.fail(&error),
            Err(_) => {
                // Once Postgres is away, the rest need not each wait for it in turn.
                let mut away = None;
                for unit in live.one_by_one() {
                    let unit = unit.fail_stale();
                    if unit.is_empty() {
                        continue;
                    }
                    if let Some(error) = &away {
                        unit.fail(error);
                        continue;
                    }
                    match self.connection.write(&unit.appends()).await {
                        Ok(written) => self.committed(unit, &written),
                        Err(error) => {
                            unit.fail(&error);
                            away = error.nothing_sent_yet();
                        }
                    }
                }
            }
        }
    }

    fn committed(&self, batch: Batch, written: &statement::Written) {
        let batch::Recorded { events, snapshots, promises } = batch.recorded(written);
        // A state of the same aggregate that was read meanwhile may lack them.
        for event in &events {
            self.cache.observe(event.aggregate, event.aggregate_id, event.sequence);
        }
        self.tail.offer(events);
        for due in snapshots {
            self.snapshots.take(due);
        }
        for (promise, committed) in promises {
            promise.keep(Ok(committed));
        }
    }
}

/// A count as a metric; no count here comes near 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts of events in a batch are far below 2^52")]
fn precise(count: usize) -> f64 {
    count as f64
}

impl From<&WriteError> for AppendError {
    fn from(error: &WriteError) -> Self {
        error.to_append_error()
    }
}

/// A promise and the ticket that waits for it.
pub(crate) fn promise() -> (Promise, Ticket) {
    settled()
}
