//! From the log to the table of what is due; effect and checkpoint are one transaction.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aggregates::{Event, PaymentId};
use chrono::{DateTime, TimeDelta, Utc};
use journal::{Follower, Journal, Position, RecordedEvent, checkpoint, create_tables};
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until};

use super::{DueError, Kind};
use crate::judge;

/// The checkpoint in the journal.
pub const CHECKPOINT: &str = "payment-work.v1";
/// Events read at once, at most.
const BATCH_EVENTS_MAX: usize = 2_048;
/// Pieces of work that wait to be written, about; more are written at once.
const WORK_WAITING_MAX: usize = 4_096;

/// How long what is not urgent waits for more before it is written: most tries have their outcome sooner, and then nothing is
/// left to write; and each write is a commit, which the disk would else do beside each of the journal's. What was read and not
/// written is read again, to the same end.
const STORE_INTERVAL: Duration = Duration::from_millis(200);
/// Work that is due sooner than this is written at once.
const URGENT_WITHIN: TimeDelta = TimeDelta::seconds(1);

/// Notes what is due, at some place in the log.
pub struct Notes {
    journal: Journal,
    follower: Follower,
    /// What was read since the last write makes of the work.
    work: Work,
    /// Where the checkpoint is.
    stored: Position,
    /// When it is moved at the latest.
    store_at: Instant,
}

/// What a batch of events makes of the work: a kind of it is due then for a payment, or not any more.
type Work = HashMap<(PaymentId, Kind), Option<DateTime<Utc>>>;

/// Creates the table if need be.
pub(super) async fn create(pool: &PgPool) -> Result<(), sqlx::Error> {
    create_tables(pool, "payment_work", include_str!("../../migrations/payment_work.sql")).await
}

impl Notes {
    /// Creates the table if need be, and resumes from the checkpoint.
    pub async fn resume(journal: &Journal) -> Result<Self, DueError> {
        create(journal.pool()).await?;
        let stored = checkpoint(journal.pool(), CHECKPOINT).await?;
        let follower = journal.follow(stored);
        Ok(Self { journal: journal.clone(), follower, work: Work::new(), stored, store_at: Instant::now() })
    }

    /// Waits for events, or for the time to write what earlier ones have made of the work; whether there is work now that
    /// was not there before. After an error it must be resumed.
    pub async fn step(&mut self) -> Result<bool, DueError> {
        let mut is_urgent = false;
        tokio::select! {
            biased;
            events = self.follower.next(BATCH_EVENTS_MAX) => is_urgent = self.read(&events?)?,
            () = sleep_until(self.store_at), if self.stored < self.follower.position() => {}
        }
        if !is_urgent && self.work.len() < WORK_WAITING_MAX && Instant::now() < self.store_at {
            return Ok(false);
        }
        let work = std::mem::take(&mut self.work);
        let is_more = work.values().any(Option::is_some);
        self.store(work).await?;
        Ok(is_more)
    }

    /// Writes the work and moves the checkpoint to where the log was read, in one transaction.
    async fn store(&mut self, work: Work) -> Result<(), DueError> {
        let to = self.follower.position();
        let mut transaction = self.journal.pool().begin().await?;
        let moved = sqlx::query("UPDATE checkpoints SET position = $3 WHERE name = $1 AND position = $2")
            .bind(CHECKPOINT)
            .bind(self.stored.to_sql())
            .bind(to.to_sql())
            .execute(&mut *transaction)
            .await?;
        if moved.rows_affected() != 1 {
            return Err(DueError::CheckpointMoved);
        }
        let (over, due): (Vec<_>, Vec<_>) = work.into_iter().partition(|(_, at)| at.is_none());
        if !over.is_empty() {
            let (payments, kinds): (Vec<_>, Vec<_>) =
                over.iter().map(|((payment, kind), _)| (payment.0, kind.as_str())).unzip();
            sqlx::query(
                "DELETE FROM payment_work USING UNNEST($1::uuid[], $2::text[]) AS over (payment_id, kind)
                 WHERE payment_work.payment_id = over.payment_id AND payment_work.kind = over.kind",
            )
            .bind(payments)
            .bind(kinds)
            .execute(&mut *transaction)
            .await?;
        }
        if !due.is_empty() {
            let (payments, kinds): (Vec<_>, Vec<_>) =
                due.iter().map(|((payment, kind), _)| (payment.0, kind.as_str())).unzip();
            let times: Vec<_> = due.iter().filter_map(|(_, at)| *at).collect();
            sqlx::query(
                "INSERT INTO payment_work AS known (payment_id, kind, due_at, since)
                 SELECT payment_id, kind, at, at
                 FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[]) AS due (payment_id, kind, at)
                 ON CONFLICT (payment_id, kind) DO UPDATE SET due_at = EXCLUDED.due_at, since = EXCLUDED.since",
            )
            .bind(payments)
            .bind(kinds)
            .bind(times)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        (self.stored, self.store_at) = (to, Instant::now() + STORE_INTERVAL);
        Ok(())
    }

    /// Takes in what a batch of events makes of the work; whether any of it is urgent.
    fn read(&mut self, events: &[Arc<RecordedEvent>]) -> Result<bool, DueError> {
        let urgent_until = Utc::now() + URGENT_WITHIN;
        let mut is_urgent = false;
        for event in events.iter().filter(|event| event.aggregate == aggregates::AggregateType::Payment) {
            let decoded = event
                .decode(self.journal.upcasters())
                .map_err(|source| DueError::Decode { position: event.position, source })?;
            if let Event::Payment(decoded) = decoded {
                let payment = PaymentId(event.aggregate_id);
                for (kind, after) in judge::work_after(&decoded) {
                    let due_at = after.map(|after| event.recorded_at + after);
                    is_urgent |= due_at.is_some_and(|at| at <= urgent_until);
                    self.work.insert((payment, *kind), due_at);
                }
            }
        }
        Ok(is_urgent)
    }
}
