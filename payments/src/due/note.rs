//! From the log to the table of what is due; effect and checkpoint are one transaction.

use std::{collections::HashMap, sync::Arc};

use aggregates::{Event, PaymentId};
use chrono::{DateTime, Utc};
use journal::{Follower, Journal, RecordedEvent, checkpoint, create_tables};
use sqlx::PgPool;

use super::{DueError, Kind};
use crate::judge;

/// The checkpoint in the journal.
pub const CHECKPOINT: &str = "payment-work.v1";
/// Events noted in one transaction, at most.
const BATCH_EVENTS_MAX: usize = 2_048;

/// Notes what is due, at some place in the log.
pub struct Notes {
    journal: Journal,
    follower: Follower,
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
        Ok(Self { journal: journal.clone(), follower: journal.follow(at) })
    }

    /// Waits for events and notes a batch of them.
    pub async fn step(&mut self) -> Result<(), DueError> {
        let from = self.follower.position();
        let events = self.follower.next(BATCH_EVENTS_MAX).await?;
        let outcome = self.note(from, &events).await;
        if outcome.is_err() {
            self.follower.seek(from);
        }
        outcome
    }

    async fn note(&self, from: journal::Position, events: &[Arc<RecordedEvent>]) -> Result<(), DueError> {
        let work = self.work(events)?;
        let mut transaction = self.journal.pool().begin().await?;
        let moved = sqlx::query("UPDATE checkpoints SET position = $3 WHERE name = $1 AND position = $2")
            .bind(CHECKPOINT)
            .bind(from.to_sql())
            .bind(self.follower.position().to_sql())
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
