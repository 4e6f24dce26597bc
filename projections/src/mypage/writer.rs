//! Keeps the file up to date.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aggregates::AggregateType;
use futures::{FutureExt, future::BoxFuture};
use journal::Position;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    file, parking,
    table::{self, LIVE},
};
use crate::{Anchor, Applied, Batch, Checkpoint, Error, Parked, ParkedBoard, Progress, Projection, wanted};

/// The projection of booking histories; it owns the one connection that writes.
pub struct MyPageProjection {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    progress: Progress,
    board: ParkedBoard,
}

impl MyPageProjection {
    pub(super) fn new(path: &Path, connection: Connection, progress: Progress) -> Result<Self, Error> {
        let board = ParkedBoard::default();
        show(&connection, &board)?;
        Ok(Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)), progress, board })
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

    fn wants(&self, aggregate: AggregateType, event_type: &str) -> bool {
        wanted::BY_MYPAGE.has(aggregate, event_type)
    }

    fn parked(&self) -> &ParkedBoard {
        &self.board
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, Result<Checkpoint, Error>> {
        let board = self.board.clone();
        self.blocking(move |connection| {
            show(connection, &board)?;
            read_checkpoint(connection)
        })
        .boxed()
    }

    fn apply<'a>(&'a mut self, batch: &'a Batch) -> BoxFuture<'a, Result<Applied, Error>> {
        async {
            let (batch, board) = (batch.clone(), self.board.clone());
            self.blocking(move |connection| write(connection, &batch, &board)).await
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

/// What is parked is read in the same transaction, as whoever retries it may do so from another process.
fn write(connection: &mut Connection, batch: &Batch, board: &ParkedBoard) -> Result<Applied, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moved = transaction
        .prepare_cached("UPDATE checkpoint SET position = ?2, anchor = ?3 WHERE position = ?1")?
        .execute(params![batch.from().to_sql(), batch.to().to_sql(), batch.anchor().0])?;
    if moved == 0 {
        return Ok(Applied::Moved);
    }
    let sorted = parking::sort(&transaction, batch)?;
    table::write(&transaction, LIVE, &sorted.changes)?;
    parking::write(&transaction, &sorted)?;
    transaction.commit()?;
    for (row, Parked { position, error, .. }) in &sorted.new {
        tracing::error!(%position, %row, error, "an event is parked, what follows it in its row waits");
    }
    show(connection, board)?;
    Ok(Applied::Committed)
}

/// Shows what is parked, where there is or was any.
pub(super) fn show(connection: &Connection, board: &ParkedBoard) -> Result<(), Error> {
    let any: bool =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM parked)")?.query_row([], |row| row.get(0))?;
    if any || !board.is_empty() {
        board.set(parking::all(connection)?.into_iter().map(|(_, parked)| parked).collect());
    }
    Ok(())
}
