//! The histories, made anew beside the live ones, in the same file: what is a switch of tables in one transaction there
//! needs nobody to reopen anything.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use journal::Position;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::{task::JoinHandle, time::sleep};

use super::{
    compare::compare,
    file::{self, VERSION},
    fold::Changes,
    late,
    table::{self, LIVE},
    writer::{blocking, read_checkpoint},
};
use crate::{
    Error,
    rebuild::{Differences, Outcome, Phase, Read, Work},
    wanted::BY_MYPAGE,
};

/// Tries to be as far as the live copy while holding it back.
const SWITCH_TRIES_MAX: u32 = 40;
/// How often, within a segment, it is said how far it is.
const TELL_EVENTS: u64 = 10_000;
/// Memory for pages and for sorting, in the syntax of SQLite: KiB, negative.
const CACHE_KIB: i64 = -32 * 1024;
/// Pause between two transactions that keep the live copy's writer waiting: SQLite does not queue writers, they look again
/// after up to 100 ms.
const GIVE_WAY: Duration = Duration::from_millis(100);
const NAME: &str = "mypage";

/// Drops the copies that were live before, in the file at `path`; how many there were.
pub async fn drop_old(path: impl AsRef<Path>) -> Result<u64, Error> {
    let path = path.as_ref().to_owned();
    blocking(move || {
        let mut connection = file::open_beside(&path)?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let old: Vec<i64> = {
            let mut select = transaction.prepare("SELECT generation FROM generations WHERE state = 'old'")?;
            let rows = select.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for generation in &old {
            transaction.execute_batch(&format!("DROP TABLE IF EXISTS {LIVE}_g{generation}"))?;
        }
        transaction.execute("DELETE FROM generations WHERE state = 'old'", [])?;
        transaction.commit()?;
        Ok(old.len() as u64)
    })
    .await
}

/// From wherever it was to the switch, in the file at `path`.
pub(crate) async fn rebuild(path: PathBuf, work: &mut Work) -> Result<Outcome, Error> {
    let mut histories = Histories::begin_or_resume(path).await?;
    work.stages.of(u32::try_from(histories.generation).unwrap_or(u32::MAX));
    if !histories.is_loaded {
        work.stages.enter(Phase::Loading).await?;
        histories.load(work).await?;
        work.stages.enter(Phase::Indexing).await?;
        histories.index().await?;
    }
    work.stages.enter(Phase::Following).await?;
    for _ in 0..SWITCH_TRIES_MAX {
        histories.follow(work).await?;
        if let Some(outcome) = histories.try_switch(work).await? {
            if outcome.switched {
                work.stages.enter(Phase::Switched).await?;
            }
            return Ok(outcome);
        }
    }
    Err(Error::NoSwitch(NAME))
}

/// A copy that is being made.
struct Histories {
    connection: Arc<Mutex<Connection>>,
    generation: i64,
    table: String,
    position: Position,
    /// Everything that was there at its beginning is in it, and the indexes are made.
    is_loaded: bool,
}

impl Histories {
    async fn begin_or_resume(path: PathBuf) -> Result<Self, Error> {
        blocking(move || {
            let connection = file::open_beside(&path)?;
            connection.pragma_update(None, "cache_size", CACHE_KIB)?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let building: Option<(i64, i32, String, i64)> = connection
                .query_row(
                    "SELECT generation, version, state, position FROM generations
                     WHERE state IN ('loading', 'following')",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .optional()?;
            let (generation, is_loaded, position) = match building {
                Some((generation, VERSION, state, position)) => {
                    tracing::info!(generation, position, "the rebuild goes on where it was");
                    (generation, state == "following", Position::from_sql(position))
                }
                Some((generation, ..)) => {
                    drop_building(&connection, generation)?;
                    (begin(&connection)?, false, Position(0))
                }
                None => (begin(&connection)?, false, Position(0)),
            };
            connection.execute_batch("COMMIT")?;
            let table = format!("{LIVE}_g{generation}");
            Ok(Self { connection: Arc::new(Mutex::new(connection)), generation, table, position, is_loaded })
        })
        .await
    }

    /// Runs `work` where it may wait for the disk.
    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, i64, &str) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.spawn(work).done().await
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, i64, &str) -> Result<T, Error> + Send + 'static,
    ) -> Spawned<T> {
        let (connection, generation, table) = (Arc::clone(&self.connection), self.generation, self.table.clone());
        Spawned(tokio::task::spawn_blocking(move || work(&connection.lock(), generation, &table)))
    }

    async fn live(&self) -> Result<Position, Error> {
        self.on(|connection, _, _| Ok(read_checkpoint(connection)?.position)).await
    }

    /// What the wanted events up to `to` change.
    async fn fold(&mut self, work: &mut Work, to: Position, live: Position) -> Result<Changes, Error> {
        let (from, teller) = (self.position, work.stages.teller());
        let (mut changes, mut told) = (Changes::default(), from.0);
        let mut each = |read: Read| {
            changes.add(&read.event, read.position, read.recorded_at);
            if read.position.0 - told >= TELL_EVENTS {
                told = read.position.0;
                teller.send_modify(|stage| (stage.position, stage.target) = (read.position, live));
            }
            Ok(())
        };
        work.log.read(from, to, BY_MYPAGE, &mut each).await?;
        self.position = to;
        work.events += to.0 - from.0;
        Ok(changes)
    }

    /// Appends one segment after the other, each written while the next is read.
    async fn load(&mut self, work: &mut Work) -> Result<(), Error> {
        let mut writing: Option<Spawned<()>> = None;
        loop {
            let live = self.live().await?;
            if live.0.saturating_sub(self.position.0) <= work.switch_events_max {
                break;
            }
            let from = self.position;
            let to = Position(live.0.min(from.0 + work.segment_events));
            let changes = self.fold(work, to, live).await;
            if let Some(writing) = writing.take() {
                writing.done().await?;
            }
            let changes = changes?;
            writing = Some(self.spawn(move |connection, generation, table| {
                append(connection, generation, table, (from, to), &changes)
            }));
            work.stages.at(to, live).await?;
        }
        match writing {
            Some(writing) => writing.done().await,
            None => Ok(()),
        }
    }

    /// Each index in a transaction of its own, so that the live copy's writer gets in between.
    async fn index(&mut self) -> Result<(), Error> {
        self.on(|connection, _, table| Ok(table::index_bookings(connection, table)?)).await?;
        sleep(GIVE_WAY).await;
        while self.on(|connection, _, table| late::apply_some(connection, table)).await? {
            sleep(GIVE_WAY).await;
        }
        self.on(|connection, _, table| Ok(table::index_users(connection, table)?)).await?;
        sleep(GIVE_WAY).await;
        self.on(|connection, generation, table| {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            late::finish(connection, table)?;
            connection.execute("UPDATE generations SET state = 'following' WHERE generation = ?1", [generation])?;
            Ok(connection.execute_batch("COMMIT")?)
        })
        .await?;
        self.is_loaded = true;
        Ok(())
    }

    /// Comes near to the live copy.
    async fn follow(&mut self, work: &mut Work) -> Result<(), Error> {
        loop {
            let (live, from) = (self.live().await?, self.position);
            if live.0.saturating_sub(from.0) <= work.switch_events_max {
                return Ok(());
            }
            let to = Position(live.0.min(from.0 + work.segment_events));
            let changes = self.fold(work, to, live).await?;
            work.stages.at(to, live).await?;
            self.on(move |connection, generation, table| {
                connection.execute_batch("BEGIN IMMEDIATE")?;
                take_in(connection, generation, table, (from, to), &changes)?;
                Ok(connection.execute_batch("COMMIT")?)
            })
            .await?;
        }
    }

    /// Holds the live copy's writer back, catches up, compares, and switches; `None` where it is too far ahead.
    async fn try_switch(&mut self, work: &mut Work) -> Result<Option<Outcome>, Error> {
        let seconds = work.began.elapsed().as_secs_f64();
        let (from, before) = (self.position, work.events);
        let live = self
            .on(|connection, _, _| {
                connection.execute_batch("BEGIN IMMEDIATE")?;
                Ok(read_checkpoint(connection)?.position)
            })
            .await?;
        let outcome = self.switch(work, live, seconds).await;
        if !matches!(outcome, Ok(Some(_))) {
            self.on(|connection, _, _| rollback(connection)).await?;
            (self.position, work.events) = (from, before);
        }
        outcome
    }

    async fn switch(&mut self, work: &mut Work, live: Position, seconds: f64) -> Result<Option<Outcome>, Error> {
        let from = self.position;
        if live < from || live.0 - from.0 > 2 * work.switch_events_max {
            return Ok(None);
        }
        work.stages.enter(Phase::Comparing).await?;
        let changes = self.fold(work, live, live).await?;
        work.stages.at(live, live).await?;
        let (differences, rows): (Differences, u64) = self
            .on(move |connection, generation, table| {
                take_in(connection, generation, table, (from, live), &changes)?;
                compare(connection, LIVE, table)
            })
            .await?;
        let switched = !work.dry_run;
        if switched {
            work.stages.enter(Phase::Switching).await?;
        }
        self.on(move |connection, generation, table| {
            if switched {
                take_over(connection, generation, table)?;
            } else {
                drop_building(connection, generation)?;
            }
            Ok(connection.execute_batch("COMMIT")?)
        })
        .await?;
        Ok(Some(Outcome {
            projection: NAME,
            generation: u32::try_from(self.generation).unwrap_or(u32::MAX),
            position: live,
            rows,
            events: work.events,
            seconds,
            differences: differences.count,
            shown: differences.shown,
            switched,
        }))
    }
}

/// Work on a thread that may wait, begun already.
struct Spawned<T>(JoinHandle<Result<T, Error>>);

impl<T> Spawned<T> {
    async fn done(self) -> Result<T, Error> {
        match self.0.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::Closed),
        }
    }
}

/// A new generation, with an empty table without indexes.
fn begin(connection: &Connection) -> Result<i64, Error> {
    let generation: i64 = connection.query_row("SELECT max(generation) + 1 FROM generations", [], |row| row.get(0))?;
    connection.execute(
        "INSERT INTO generations (generation, version, state, position) VALUES (?1, ?2, 'loading', 0)",
        params![generation, VERSION],
    )?;
    let table = format!("{LIVE}_g{generation}");
    table::create(connection, &table)?;
    late::create(connection, &table)?;
    Ok(generation)
}

fn drop_building(connection: &Connection, generation: i64) -> Result<(), Error> {
    let table = format!("{LIVE}_g{generation}");
    late::drop(connection, &table)?;
    connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    connection
        .execute("DELETE FROM generations WHERE generation = ?1 AND state IN ('loading', 'following')", [generation])?;
    Ok(())
}

/// Moves the position of the copy that is being built.
fn advance(connection: &Connection, generation: i64, (from, to): (Position, Position)) -> Result<(), Error> {
    let moved = connection.execute(
        "UPDATE generations SET position = ?3
         WHERE generation = ?1 AND position = ?2 AND state IN ('loading', 'following')",
        params![generation, from.to_sql(), to.to_sql()],
    )?;
    // The lease keeps others out; whoever changed it did so by hand.
    if moved == 1 { Ok(()) } else { Err(Error::LeaseLost) }
}

/// A segment, while there are no indexes: new rows, and what is to be done to rows of earlier segments later.
fn append(
    connection: &Connection,
    generation: i64,
    table: &str,
    moves: (Position, Position),
    changes: &Changes,
) -> Result<(), Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = (|| {
        advance(connection, generation, moves)?;
        table::insert(connection, table, &changes.new)?;
        late::add(connection, table, moves.0, &changes.changed, &changes.erased)?;
        Ok(connection.execute_batch("COMMIT")?)
    })();
    if done.is_err() {
        rollback(connection)?;
    }
    done
}

/// Ends a transaction that an error left open; some errors end it by themselves.
pub(super) fn rollback(connection: &Connection) -> Result<(), Error> {
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(())
}

/// A run of events, once there are indexes.
fn take_in(
    connection: &Connection,
    generation: i64,
    table: &str,
    moves: (Position, Position),
    changes: &Changes,
) -> Result<(), Error> {
    advance(connection, generation, moves)?;
    table::write(connection, table, changes)
}

/// The new table takes the live one's name, which takes another. What the old copy could not apply, the new one has.
fn take_over(connection: &Connection, generation: i64, table: &str) -> Result<(), Error> {
    let old: i64 =
        connection.query_row("SELECT generation FROM generations WHERE state = 'live'", [], |row| row.get(0))?;
    connection.execute_batch(&format!(
        "ALTER TABLE {LIVE} RENAME TO {LIVE}_g{old};
         ALTER TABLE {table} RENAME TO {LIVE};
         UPDATE generations SET state = 'old' WHERE generation = {old};
         UPDATE generations SET state = 'live' WHERE generation = {generation};
         DELETE FROM parked;
         PRAGMA user_version = {VERSION};"
    ))?;
    Ok(())
}
