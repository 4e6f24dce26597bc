//! Snapshots, taken off the command path so that a concert with very many events loads fast.

use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
};

use aggregates::Decide;
use sqlx::PgPool;
use tokio::{sync::mpsc, task::spawn_blocking};
use uuid::Uuid;

use crate::{Sequence, load::has_snapshots};

/// Events after which a first snapshot is due.
pub(crate) const SNAPSHOT_EVENTS_MIN: u64 = 1_000;
/// A next one is due when the aggregate has grown by one part in this many: writing them costs a constant share, which at
/// this many is five times the last of them, and a load reads a quarter more than it at most.
const SNAPSHOT_GROWTH_PARTS: u64 = 4;
/// Snapshots waiting to be written; when it is full one is skipped, and the next that is due is written instead.
const SNAPSHOTS_WAITING_MAX: usize = 16;

/// Why a snapshot was not written; what that is makes no difference.
type Error = Box<dyn std::error::Error + Send + Sync>;

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
        fn to_json(&self, writer: &mut dyn std::io::Write) -> Result<(), serde_json::Error>;
    }

    impl<S: serde::Serialize + Send + Sync> State for S {
        fn to_json(&self, writer: &mut dyn std::io::Write) -> Result<(), serde_json::Error> {
            serde_json::to_writer(writer, self)
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

/// Writes one in the place of an older one; a newer one stays. It goes to Postgres in pieces while it is being made: as a
/// parameter, tens of megabytes would be copied into the connection's buffer, which keeps its size for as long as the pool
/// keeps the connection.
async fn write(pool: &PgPool, due: Due) -> Result<(), Error> {
    let Due { aggregate_type, id, sequence, state } = due;
    let mut transaction = pool.begin().await?;
    // One at a time for each aggregate, by whichever process: only so does the next one see what this one has written.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('snapshot ' || $1 || ' ' || $2, 0))")
        .bind(aggregate_type)
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
    let old: Option<(i64, i64)> = sqlx::query_as(
        "SELECT last_sequence, current_snapshot FROM snapshots WHERE aggregate_type = $1 AND aggregate_id = $2",
    )
    .bind(aggregate_type)
    .bind(id.to_string())
    .fetch_optional(&mut *transaction)
    .await?;
    let number = match old {
        Some((last, _)) if last >= sequence.to_sql() => return Ok(()),
        Some((_, number)) => number + 1,
        None => 1,
    };
    sqlx::query("DELETE FROM snapshots WHERE aggregate_type = $1 AND aggregate_id = $2")
        .bind(aggregate_type)
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
    let mut copy = transaction.copy_in_raw(COPY).await?;
    let row = format!("{aggregate_type}{DELIMITER}{id}{DELIMITER}{}{DELIMITER}{number}{DELIMITER}", sequence.0);
    copy.send(row.into_bytes()).await?;
    let (pieces, mut made) = mpsc::channel(PIECES_WAITING_MAX);
    let making = spawn_blocking(move || {
        let mut writer = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces));
        state.to_json(&mut writer)?;
        Ok::<_, Error>(writer.flush()?)
    });
    while let Some(piece) = made.recv().await {
        copy.send(piece).await?;
    }
    if let Err(error) = making.await? {
        copy.abort("the snapshot could not be made").await?;
        return Err(error);
    }
    copy.send(&b"\n"[..]).await?;
    copy.finish().await?;
    Ok(transaction.commit().await?)
}

/// JSON holds no control characters, so nothing in a row needs to be quoted.
const COPY: &str = r"COPY snapshots (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload)
     FROM STDIN (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')";
const DELIMITER: char = '\x01';
/// Bytes sent at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that are made and not sent yet.
const PIECES_WAITING_MAX: usize = 4;

/// Hands on what is written to it, a piece at a time.
struct Pieces(mpsc::Sender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(bytes.to_owned()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use aggregates::Concert;
    use cqrs_es::Aggregate as _;

    use super::*;
    use crate::{Journal, JournalOptions};

    struct Unwritable;

    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it cannot be written"))
        }
    }

    fn due(sequence: u64, state: impl erased::State + 'static) -> Due {
        Due { aggregate_type: Concert::TYPE, id: Uuid::nil(), sequence: Sequence(sequence), state: Arc::new(state) }
    }

    async fn stored(pool: &PgPool) -> Vec<(i64, i64, String)> {
        sqlx::query_as("SELECT last_sequence, current_snapshot, payload::text FROM snapshots")
            .fetch_all(pool)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_newest_stays_whoever_comes_when() {
        let postgres = stack::Postgres::temp().await.unwrap();
        let journal = Journal::open(postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap();
        let pool = journal.pool();
        write(pool, due(3_000, "first")).await.unwrap();
        write(pool, due(2_000, "older")).await.unwrap();
        assert_eq!(stored(pool).await, [(3_000, 1, "\"first\"".to_owned())]);
        write(pool, due(9_000, Unwritable)).await.unwrap_err();
        assert_eq!(stored(pool).await, [(3_000, 1, "\"first\"".to_owned())]);

        // As many processes would, all at once.
        let large = |sequence: u64| due(sequence, vec![sequence; 100_000]);
        let all = (4_000..4_008).rev().map(|sequence| write(pool, large(sequence)));
        futures::future::try_join_all(all).await.unwrap();
        let newest = stored(pool).await;
        assert_eq!((newest.len(), newest[0].0), (1, 4_007));
        assert!(newest[0].2.starts_with("[4007,"), "{:.20}", newest[0].2);
        journal.close().await;
    }
}
