//! Snapshots, taken off the command path so that a concert with very many events loads fast.

use std::sync::Arc;

use aggregates::Decide;
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{Sequence, load::has_snapshots};

/// Events after which a first snapshot is due.
pub(crate) const SNAPSHOT_EVENTS_MIN: u64 = 1_000;
/// A next one is due when the aggregate has grown by one part in this many: writing them costs a constant share, which at
/// this many is five times the last of them, and a load reads a quarter more than it at most.
const SNAPSHOT_GROWTH_PARTS: u64 = 4;
/// Snapshots waiting to be written; when it is full one is skipped, and the next that is due is written instead.
const SNAPSHOTS_WAITING_MAX: usize = 16;

/// A state worth a snapshot.
pub(crate) struct Due {
    aggregate_type: &'static str,
    id: Uuid,
    sequence: Sequence,
    state: Arc<dyn erased::State>,
}

mod erased {
    /// A state of any aggregate that can be written as JSON.
    pub trait State: Send + Sync {
        fn to_json(&self) -> Result<String, serde_json::Error>;
    }

    impl<S: serde::Serialize + Send + Sync> State for S {
        fn to_json(&self) -> Result<String, serde_json::Error> {
            serde_json::to_string(self)
        }
    }
}

/// The snapshot that is due when `state` has come to `sequence`, if one is.
pub(crate) fn due<A: Decide>(id: Uuid, state: &A, sequence: Sequence, last: Sequence) -> Option<Due> {
    let grown = sequence.0.saturating_sub(last.0);
    let is_due = has_snapshots(A::KIND) && grown >= SNAPSHOT_EVENTS_MIN.max(last.0 / SNAPSHOT_GROWTH_PARTS);
    is_due.then(|| Due { aggregate_type: A::TYPE, id, sequence, state: Arc::new(state.clone()) })
}

/// Where due snapshots go.
#[derive(Clone)]
pub(crate) struct Snapshots(mpsc::Sender<Due>);

impl Snapshots {
    pub fn channel() -> (Self, mpsc::Receiver<Due>) {
        let (sender, receiver) = mpsc::channel(SNAPSHOTS_WAITING_MAX);
        (Self(sender), receiver)
    }

    pub fn take(&self, due: Due) {
        if let Err(error) = self.0.try_send(due) {
            tracing::debug!(%error, "a snapshot was skipped");
        }
    }
}

/// Writes snapshots until every sender is gone.
pub(crate) async fn run(pool: PgPool, mut waiting: mpsc::Receiver<Due>) {
    while let Some(due) = waiting.recv().await {
        let (aggregate, id) = (due.aggregate_type, due.id);
        if let Err(error) = write(&pool, due).await {
            tracing::warn!(%error, aggregate, %id, "a snapshot could not be written; the log has it all");
        }
    }
}

async fn write(pool: &PgPool, due: Due) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Due { aggregate_type, id, sequence, state } = due;
    let payload = tokio::task::spawn_blocking(move || state.to_json()).await??;
    sqlx::query(
        "INSERT INTO snapshots AS old (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload)
         VALUES ($1, $2, $3, 1, $4::json)
         ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE
         SET last_sequence = EXCLUDED.last_sequence, current_snapshot = old.current_snapshot + 1,
             payload = EXCLUDED.payload
         WHERE old.last_sequence < EXCLUDED.last_sequence",
    )
    .bind(aggregate_type)
    .bind(id.to_string())
    .bind(sequence.to_sql())
    .bind(payload)
    .execute(pool)
    .await?;
    Ok(())
}
