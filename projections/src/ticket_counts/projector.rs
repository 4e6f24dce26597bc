//! Keeps the rows up to date.

use std::collections::HashMap;

use aggregates::{AggregateType, ConcertId, Event};
use futures::{FutureExt, future::BoxFuture};
use sqlx::PgPool;

use super::{ConcertView, fold, rows};
use crate::{Applied, Batch, Checkpoint, Error, Progress, Projection};

/// Concerts whose rows the writer remembers from one batch to the next, at most; beyond it, it begins anew.
pub const CONCERTS_KNOWN_MAX: usize = 10_000;

/// The projection of ticket counts, one row a concert.
pub struct TicketCounts {
    pool: PgPool,
    progress: Progress,
    /// Rows as of the last batch: valid as long as nobody else moves the checkpoint, which the next move finds out.
    known: HashMap<ConcertId, ConcertView>,
}

impl TicketCounts {
    /// Creates its table where there is none yet. The journal must have been opened on this database.
    pub async fn open(pool: PgPool) -> Result<Self, Error> {
        rows::create(&pool).await?;
        let progress = Progress::new(rows::position(&pool).await?);
        Ok(Self { pool, progress, known: HashMap::new() })
    }

    /// Reads the rows that `batch` builds on and that are not known. False where they are of a later position than the
    /// batch builds on, so that another runner was there first.
    async fn learn(&mut self, batch: &Batch) -> Result<bool, Error> {
        let changed = batch.entries().iter().filter_map(|entry| fold::changed_by(&entry.event));
        let mut unknown: Vec<ConcertId> = changed.filter(|id| !self.known.contains_key(id)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let rows = rows::by_id(&self.pool, &unknown).await?;
            if rows.iter().any(|row| row.position > batch.from()) {
                return Ok(false);
            }
            self.known.extend(rows.into_iter().map(|row| (row.id, row)));
        }
        Ok(true)
    }

    /// The rows after `batch` that it changes, each once however many of its events do.
    fn fold(&self, batch: &Batch) -> Result<Vec<ConcertView>, Error> {
        let mut changed: HashMap<ConcertId, ConcertView> = HashMap::new();
        for entry in batch.entries() {
            let (Event::Concert(event), Some(id)) = (&entry.event, fold::changed_by(&entry.event)) else { continue };
            let row = changed.remove(&id).or_else(|| self.known.get(&id).cloned());
            let position = entry.recorded.position;
            let row = fold::evolve(row, event, position).map_err(|reason| Error::Impossible {
                position,
                aggregate: AggregateType::Concert,
                aggregate_id: id.0,
                reason,
            })?;
            changed.insert(id, row);
        }
        Ok(changed.into_values().collect())
    }

    async fn write(&mut self, batch: &Batch) -> Result<Applied, Error> {
        if !self.learn(batch).await? {
            return Ok(Applied::Moved);
        }
        let changed = self.fold(batch)?;
        let applied = rows::write(&self.pool, (batch.from(), batch.to()), &changed).await?;
        if applied == Applied::Committed {
            if self.known.len() + changed.len() > CONCERTS_KNOWN_MAX {
                self.known.clear();
            }
            self.known.extend(changed.into_iter().map(|row| (row.id, row)));
        }
        Ok(applied)
    }
}

impl Projection for TicketCounts {
    fn name(&self) -> &'static str {
        "ticket-counts"
    }

    fn version(&self) -> u32 {
        1
    }

    fn place(&self) -> String {
        format!("the rows of the table ticket_counts_v1 and the row {:?} of the table checkpoints", rows::CHECKPOINT)
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, Result<Checkpoint, Error>> {
        async {
            self.known.clear();
            let position = journal::checkpoint(&self.pool, rows::CHECKPOINT).await?;
            // Checkpoint and log are in one database, and are restored together.
            Ok(Checkpoint { position, anchor: None })
        }
        .boxed()
    }

    fn apply<'a>(&'a mut self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, Error>> {
        async {
            let applied = self.write(batch).await;
            if !matches!(applied, Ok(Applied::Committed)) {
                self.known.clear();
            }
            applied
        }
        .boxed()
    }
}
