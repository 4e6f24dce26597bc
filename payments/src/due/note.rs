//! From the log to the table of what is due; effect and checkpoint are one transaction.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aggregates::{Event, PaymentId};
use chrono::{DateTime, Utc};
use journal::{Follower, Journal, Position, RecordedEvent, checkpoint, create_tables};
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until};

use super::{DueError, Kind};
use crate::judge;

/// The checkpoint in the journal.
pub const CHECKPOINT: &str = "payment-work.v1";
/// Events noted in one transaction, at most.
const BATCH_EVENTS_MAX: usize = 2_048;

/// How long events that make no work wait for others before the checkpoint is moved past them: each move is a commit, which
/// the disk would else do beside each of the journal's. What was read and not stored is read again, to the same end.
const IDLE_MOVE_INTERVAL: Duration = Duration::from_millis(200);

/// Notes what is due, at some place in the log.
pub struct Notes {
    journal: Journal,
    follower: Follower,
    /// Where the checkpoint is.
    stored: Position,
    /// When it is moved past events that made no work.
    move_at: Instant,
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
        let at = checkpoint(journal.pool(), CHECKPOINT).await?;
        Ok(Self { journal: journal.clone(), follower: journal.follow(at), stored: at, move_at: Instant::now() })
    }

    /// Waits for events and notes what a batch of them makes of the work; whether that was anything.
    pub async fn step(&mut self) -> Result<bool, DueError> {
        let read = self.follower.position();
        let work = tokio::select! {
            biased;
            events = self.follower.next(BATCH_EVENTS_MAX) => self.work(&events?),
            () = sleep_until(self.move_at), if self.stored < read => Ok(Work::new()),
        };
        let outcome = async {
            let work = work?;
            let is_work = !work.is_empty();
            if is_work || Instant::now() >= self.move_at {
                self.store(work).await?;
            }
            Ok(is_work)
        }
        .await;
        if outcome.is_err() {
            self.follower.seek(read);
        }
        outcome
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
        (self.stored, self.move_at) = (to, Instant::now() + IDLE_MOVE_INTERVAL);
        Ok(())
    }

    fn work(&self, events: &[Arc<RecordedEvent>]) -> Result<Work, DueError> {
        let mut work = Work::new();
        for event in events.iter().filter(|event| event.aggregate == aggregates::AggregateType::Payment) {
            let decoded = event
                .decode(self.journal.upcasters())
                .map_err(|source| DueError::Decode { position: event.position, source })?;
            if let Event::Payment(decoded) = decoded {
                let payment = PaymentId(event.aggregate_id);
                for (kind, after) in judge::work_after(&decoded) {
                    work.insert((payment, *kind), after.map(|after| event.recorded_at + after));
                }
            }
        }
        Ok(work)
    }
}
