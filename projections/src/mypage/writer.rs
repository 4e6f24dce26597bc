//! Keeps the file up to date.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aggregates::{BookingId, UserId};
use futures::{FutureExt, future::BoxFuture};
use journal::Position;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    BookingHistory, file,
    fold::{Change, Changes},
};
use crate::{Anchor, Applied, Batch, Checkpoint, Error, Progress, Projection, currency};

/// The projection of booking histories; it owns the one connection that writes.
pub struct MyPageProjection {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    progress: Progress,
}

impl MyPageProjection {
    pub(super) fn new(path: &Path, connection: Connection, progress: Progress) -> Self {
        Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)), progress }
    }

    /// Runs `work` where it may wait for the disk. Once begun it ends, even if nobody waits for it any more.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let connection = Arc::clone(&self.connection);
        blocking(move || work(&mut connection.lock())).await
    }
}

/// Runs `work` on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down.
        Err(_) => Err(Error::Closed),
    }
}

impl Projection for MyPageProjection {
    fn name(&self) -> &'static str {
        "mypage"
    }

    fn version(&self) -> u32 {
        file::VERSION.unsigned_abs()
    }

    fn place(&self) -> String {
        let path = self.path.display();
        format!("the file {path} (and {path}-wal)")
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, Result<Checkpoint, Error>> {
        self.blocking(|connection| read_checkpoint(connection)).boxed()
    }

    fn apply<'a>(&'a mut self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, Error>> {
        async {
            let (from, to, anchor) = (batch.from(), batch.to(), batch.anchor());
            let changes = Changes::of(batch);
            self.blocking(move |connection| write(connection, from, to, anchor.as_ref(), &changes)).await
        }
        .boxed()
    }
}

/// Where the checkpoint is.
pub(super) fn read_checkpoint(connection: &Connection) -> Result<Checkpoint, Error> {
    let row = connection
        .query_row("SELECT position, anchor FROM checkpoint", [], |row| {
            Ok((row.get(0)?, row.get::<_, Option<[u8; 32]>>(1)?))
        })
        .optional()?;
    let (position, anchor) = row.ok_or(Error::Row { column: "checkpoint" })?;
    Ok(Checkpoint { position: Position::from_sql(position), anchor: anchor.map(Anchor) })
}

fn write(
    connection: &mut Connection,
    from: Position,
    to: Position,
    anchor: Option<&Anchor>,
    changes: &Changes,
) -> Result<Applied, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moved = transaction
        .prepare_cached("UPDATE checkpoint SET position = ?2, anchor = ?3 WHERE position = ?1")?
        .execute(params![from.to_sql(), to.to_sql(), anchor.map(|anchor| anchor.0)])?;
    if moved == 0 {
        return Ok(Applied::Moved);
    }
    forget(&transaction, changes.erased.iter())?;
    insert(&transaction, changes.new.values())?;
    update(&transaction, changes.changed.iter())?;
    transaction.commit()?;
    Ok(Applied::Committed)
}

fn forget<'a>(transaction: &Transaction<'_>, users: impl Iterator<Item = &'a UserId>) -> Result<(), Error> {
    let mut delete = transaction.prepare_cached("DELETE FROM histories WHERE user_id = ?1")?;
    for user in users {
        delete.execute([user.0.as_bytes()])?;
    }
    Ok(())
}

fn insert<'a>(
    transaction: &Transaction<'_>,
    histories: impl Iterator<Item = &'a (BookingHistory, Position)>,
) -> Result<(), Error> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO histories (id, booking_id, concert_id, user_id, status, qty, amount, currency, payment_id,
                                requested_at, updated_at, position)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    // In the order of the primary key, which SQLite appends to.
    let mut histories: Vec<_> = histories.collect();
    histories.sort_unstable_by_key(|(history, _)| history.id);
    for (history, position) in histories {
        insert.execute(params![
            history.id.to_sql(),
            history.booking_id.0.as_bytes(),
            history.concert_id.0.as_bytes(),
            history.user_id.0.as_bytes(),
            history.status.as_str(),
            history.qty.get(),
            history.amount.map(|money| money.amount.cast_signed()),
            history.amount.map(|money| currency::code(money.currency)),
            history.payment_id.as_ref().map(|id| id.0.as_bytes()),
            history.requested_at.timestamp_micros(),
            history.updated_at.timestamp_micros(),
            position.to_sql(),
        ])?;
    }
    Ok(())
}

fn update<'a>(
    transaction: &Transaction<'_>,
    changes: impl Iterator<Item = (&'a BookingId, &'a Change)>,
) -> Result<(), Error> {
    let mut update = transaction.prepare_cached(
        "UPDATE histories SET status = ?2, amount = coalesce(?3, amount), currency = coalesce(?4, currency),
                payment_id = coalesce(?5, payment_id), updated_at = ?6, position = ?7
         WHERE booking_id = ?1",
    )?;
    for (booking, change) in changes {
        let money = change.payment.map(|(_, money)| money);
        update.execute(params![
            booking.0.as_bytes(),
            change.status.as_str(),
            money.map(|money| money.amount.cast_signed()),
            money.map(|money| currency::code(money.currency)),
            change.payment.as_ref().map(|(id, _)| id.0.as_bytes()),
            change.updated_at.timestamp_micros(),
            change.position.to_sql(),
        ])?;
    }
    Ok(())
}
