//! Keeps the rows up to date.

use std::collections::HashMap;

use aggregates::{AggregateType, ConcertId, Event};
use futures::{FutureExt, future::BoxFuture};
use sqlx::{Connection as _, PgPool};
use uuid::Uuid;

use super::{
    ConcertView, fold,
    parking::{self, Parking},
    rows::{self, Target},
};
use crate::{Applied, Batch, Checkpoint, Error, Parked, ParkedBoard, Progress, Projection, wanted};

/// Concerts whose rows the writer remembers from one batch to the next, at most; beyond it, it begins anew.
pub const CONCERTS_KNOWN_MAX: usize = 10_000;
/// Of what events do to the rows. A live generation of an older version is built anew beside it (see [`crate::rebuild`]);
/// until that is live, this code keeps the older one up, whose table has the same shape.
pub(crate) const VERSION: u32 = 1;

/// The projection of ticket counts, one row a concert.
pub struct TicketCounts {
    pool: PgPool,
    progress: Progress,
    /// Rows as of the last batch: valid as long as nobody else moves the checkpoint or the revision, which the next move
    /// finds out.
    known: HashMap<ConcertId, ConcertView>,
    revision: i64,
    /// What is parked, valid in the same way.
    parked: HashMap<Uuid, Parked>,
    board: ParkedBoard,
}

impl TicketCounts {
    /// Creates its table where there is none yet. The journal must have been opened on this database.
    pub async fn open(pool: PgPool) -> Result<Self, Error> {
        rows::create(&pool, VERSION).await?;
        let (position, revision) = rows::place(&pool).await?;
        let (known, parked, board) = (HashMap::new(), HashMap::new(), ParkedBoard::default());
        board.set(parking::all(&pool).await?);
        Ok(Self { pool, progress: Progress::new(position), known, revision, parked, board })
    }

    /// Reads the rows that `batch` builds on and that are not known. False where they are of a later position than the
    /// batch builds on, so that another runner was there first.
    async fn learn(&mut self, batch: &Batch) -> Result<bool, Error> {
        let changed = batch.entries().iter().filter_map(|entry| fold::changed_by(entry.event.as_ref().ok()?));
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

    /// The rows after `batch` that it changes, each once however many of its events do; and what of it is parked.
    fn fold(&self, batch: &Batch) -> Result<(Vec<ConcertView>, Parking), Error> {
        let mut changed: HashMap<ConcertId, ConcertView> = HashMap::new();
        let mut parking = Parking::default();
        for entry in batch.entries() {
            let id = ConcertId(entry.recorded.aggregate_id);
            if parking.waits(id.0, &self.parked) {
                continue;
            }
            let event = match &entry.event {
                Ok(Event::Concert(event)) => event,
                Ok(Event::User(_) | Event::Booking(_) | Event::Payment(_)) => continue,
                Err(reason) => {
                    parking.park(entry, reason, self.parked.len())?;
                    continue;
                }
            };
            if let Some(row) = self.known.get(&id)
                && !changed.contains_key(&id)
            {
                changed.insert(id, row.clone());
            }
            match fold::evolve(changed.get_mut(&id), event, entry.recorded.position) {
                Ok(None) => {}
                Ok(Some(first)) => drop(changed.insert(id, first)),
                Err(reason) => parking.park(entry, reason, self.parked.len())?,
            }
        }
        Ok((changed.into_values().collect(), parking))
    }

    async fn write(&mut self, batch: &Batch) -> Result<Applied, Error> {
        if !self.learn(batch).await? {
            return Ok(Applied::Moved);
        }
        let (changed, parking) = self.fold(batch)?;
        let applied = self.commit(batch, &changed, &parking).await?;
        if applied == Applied::Committed {
            if self.known.len() + changed.len() > CONCERTS_KNOWN_MAX {
                self.known.clear();
            }
            self.known.extend(changed.into_iter().map(|row| (row.id, row)));
            self.note(parking);
        }
        Ok(applied)
    }

    /// Rows, checkpoint and what is parked: all, or nothing.
    async fn commit(&self, batch: &Batch, changed: &[ConcertView], parking: &Parking) -> Result<Applied, Error> {
        let (target, moves) = (Target::Live { revision: self.revision }, (batch.from(), batch.to()));
        let mut connection = self.pool.acquire().await?;
        if parking.is_empty() {
            return rows::write(&mut connection, &target, moves, changed).await;
        }
        let mut transaction = connection.begin().await?;
        let applied = rows::write(&mut transaction, &target, moves, changed).await?;
        if applied == Applied::Committed {
            parking::write(&mut transaction, parking).await?;
            transaction.commit().await?;
        }
        Ok(applied)
    }

    fn note(&mut self, parking: Parking) {
        if parking.is_empty() {
            return;
        }
        for (id, waiting) in parking.waiting {
            self.parked.entry(id).and_modify(|parked| parked.waiting += waiting);
        }
        for parked in parking.new {
            let Parked { position, aggregate_id, error, .. } = &parked;
            tracing::error!(%position, concert = %aggregate_id, error, "an event is parked, what follows it waits");
            self.parked.insert(parked.aggregate_id, parked);
        }
        self.board.set(self.parked.values().cloned().collect());
    }
}

impl Projection for TicketCounts {
    fn name(&self) -> &'static str {
        rows::NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn place(&self) -> String {
        format!("the rows of the table ticket_counts_v1 and the row {:?} of the table checkpoints", rows::CHECKPOINT)
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn wants(&self, aggregate: AggregateType, event_type: &str) -> bool {
        wanted::BY_TICKET_COUNTS.has(aggregate, event_type)
    }

    fn parked(&self) -> &ParkedBoard {
        &self.board
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, Result<Checkpoint, Error>> {
        async {
            self.known.clear();
            journal::checkpoint(&self.pool, rows::CHECKPOINT).await?;
            // Position and revision of one moment, and what is parked after it: any later change moves one of the two.
            let (position, revision) = rows::place(&self.pool).await?;
            self.revision = revision;
            let parked = parking::all(&self.pool).await?;
            self.board.set(parked.clone());
            self.parked = parked.into_iter().map(|parked| (parked.aggregate_id, parked)).collect();
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
