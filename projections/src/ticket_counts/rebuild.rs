//! The counts, made anew beside the live ones.

use std::collections::{HashMap, HashSet};

use aggregates::{AggregateType, ConcertId, Event};
use futures::future::BoxFuture;
use journal::Position;
use serde_json::{Map, Value};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{
    ConcertView, fold, load, parking,
    projector::VERSION,
    retry::lock_out_writers,
    rows::{self, LIVE, NAME, Target},
};
use crate::{
    Applied, CopyState, Error,
    rebuild::{CONCERTS_MAX, DIFFERENCES_SHOWN_MAX, Difference, Outcome, Phase, Read, Work, differing},
    wanted::BY_TICKET_COUNTS,
};

/// How long one try to get a table's lock may wait, in the syntax of Postgres: who waits for it keeps others waiting.
const LOCK_WAIT_MAX: &str = "500ms";
/// Tries to get the locks of the switch, and to be as far as the live copy while holding them.
const SWITCH_TRIES_MAX: u32 = 40;
/// Postgres' code for a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// How often, within a segment, it is said how far it is.
const TELL_EVENTS: u64 = 10_000;

/// Creates the tables that a rebuild of whatever projection needs.
pub(crate) async fn create(pool: &PgPool) -> Result<(), Error> {
    rows::create(pool, VERSION).await
}

/// What there is of the counts.
pub async fn state(pool: &PgPool) -> Result<CopyState, Error> {
    let (generation, version, old): (i32, i32, i64) = sqlx::query_as(
        "SELECT generation, version,
                (SELECT count(*) FROM projection_generations WHERE projection = $1 AND state = 'old')
         FROM projection_generations WHERE projection = $1 AND state = 'live'",
    )
    .bind(NAME)
    .fetch_one(pool)
    .await?;
    Ok(CopyState {
        name: NAME,
        version: version.unsigned_abs(),
        current: VERSION,
        generation: generation.unsigned_abs(),
        old: u32::try_from(old).unwrap_or(u32::MAX),
        position: rows::place(pool).await?.0,
        parked: parking::all(pool).await?,
    })
}

/// Whether the live counts were made by an older version of this code.
pub async fn is_outdated(pool: &PgPool) -> Result<bool, Error> {
    Ok(state(pool).await?.is_outdated())
}

/// Drops the copies that were live before; how many there were.
pub async fn drop_old(pool: &PgPool) -> Result<u64, Error> {
    create(pool).await?;
    let mut transaction = pool.begin().await?;
    let old: Vec<i32> = sqlx::query_scalar(
        "DELETE FROM projection_generations WHERE projection = $1 AND state = 'old' RETURNING generation",
    )
    .bind(NAME)
    .fetch_all(&mut *transaction)
    .await?;
    for generation in &old {
        sqlx::query(&format!("DROP TABLE IF EXISTS {}", table(*generation))).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(old.len() as u64)
}

fn table(generation: i32) -> String {
    format!("{LIVE}_g{generation}")
}

/// A copy that is being made.
pub(crate) struct Counts {
    pool: PgPool,
    generation: i32,
    table: String,
    position: Position,
    rows: HashMap<ConcertId, ConcertView>,
    /// Those that differ from what is stored.
    changed: HashSet<ConcertId>,
}

impl Counts {
    /// From wherever it was to the switch.
    pub async fn rebuild(pool: PgPool, work: &mut Work) -> Result<Outcome, Error> {
        journal::checkpoint(&pool, rows::CHECKPOINT).await?;
        let mut counts = Self::begin_or_resume(pool).await?;
        work.stages.of(counts.generation.unsigned_abs());
        work.stages.enter(Phase::Loading).await?;
        let mut live = rows::place(&counts.pool).await?.0;
        while live.0.saturating_sub(counts.position.0) > work.switch_events_max {
            let to = Position(live.0.min(counts.position.0 + work.segment_events));
            counts.fold(work, to, live).await?;
            counts.store_all().await?;
            live = rows::place(&counts.pool).await?.0;
        }
        work.stages.enter(Phase::Indexing).await?;
        counts.index().await?;
        work.stages.enter(Phase::Following).await?;
        for _ in 0..SWITCH_TRIES_MAX {
            counts.follow(work).await?;
            if let Some(outcome) = counts.try_switch(work).await? {
                if outcome.switched {
                    work.stages.enter(Phase::Switched).await?;
                }
                return Ok(outcome);
            }
        }
        Err(Error::NoSwitch(NAME))
    }

    async fn begin_or_resume(pool: PgPool) -> Result<Self, Error> {
        let building: Option<(i32, i32, i64)> = sqlx::query_as(
            "SELECT generation, version, position FROM projection_generations
             WHERE projection = $1 AND state = 'building'",
        )
        .bind(NAME)
        .fetch_optional(&pool)
        .await?;
        match building {
            Some((generation, version, position)) if version.unsigned_abs() == VERSION => {
                let table = table(generation);
                let rows = load::all(&pool, &table).await?;
                let position = Position::from_sql(position);
                tracing::info!(generation, %position, "the rebuild goes on where it was");
                Ok(Self { pool, generation, table, position, rows, changed: HashSet::new() })
            }
            Some((generation, ..)) => {
                drop_generation(&pool, generation).await?;
                Self::begin(pool).await
            }
            None => Self::begin(pool).await,
        }
    }

    async fn begin(pool: PgPool) -> Result<Self, Error> {
        let mut transaction = pool.begin().await?;
        let generation: i32 = sqlx::query_scalar(
            "INSERT INTO projection_generations (projection, generation, version, state, position)
             SELECT $1, max(generation) + 1, $2, 'building', 0 FROM projection_generations WHERE projection = $1
             RETURNING generation",
        )
        .bind(NAME)
        .bind(VERSION.cast_signed())
        .fetch_one(&mut *transaction)
        .await?;
        let table = table(generation);
        transaction.execute(rows::schema_of(&table).0.as_str()).await?;
        transaction.commit().await?;
        let (rows, changed) = (HashMap::new(), HashSet::new());
        Ok(Self { pool, generation, table, position: Position(0), rows, changed })
    }

    /// Takes in the log up to `to`, in memory.
    async fn fold(&mut self, work: &mut Work, to: Position, live: Position) -> Result<(), Error> {
        let Self { position: from, rows, changed, .. } = self;
        let (from, teller, mut told) = (*from, work.stages.teller(), from.0);
        let mut each = |read: Read| {
            let Event::Concert(event) = &read.event else { return Ok(()) };
            let id = ConcertId(read.aggregate_id);
            let first = fold::evolve(rows.get_mut(&id), event, read.position).map_err(|reason| Error::Impossible {
                position: read.position,
                aggregate: AggregateType::Concert,
                aggregate_id: id.0,
                reason,
            })?;
            if let Some(first) = first {
                if rows.len() >= CONCERTS_MAX {
                    return Err(Error::TooManyConcerts);
                }
                rows.insert(id, first);
            }
            changed.insert(id);
            if read.position.0 - told >= TELL_EVENTS {
                told = read.position.0;
                teller.send_modify(|stage| (stage.position, stage.target) = (read.position, live));
            }
            Ok(())
        };
        work.log.read(from, to, BY_TICKET_COUNTS, &mut each).await?;
        self.position = to;
        work.events += to.0 - from.0;
        work.stages.at(to, live).await
    }

    /// Stores all rows at once, with the position.
    async fn store_all(&mut self) -> Result<(), Error> {
        // Of its own: cut short in the middle of a copy, a connection answers whoever has it next with what is left of it.
        let mut connection = self.pool.acquire().await?.detach();
        let mut transaction = connection.begin().await?;
        sqlx::query(&format!("TRUNCATE {}", self.table)).execute(&mut *transaction).await?;
        load::copy_in(&mut transaction, &self.table, self.rows.values()).await?;
        sqlx::query(
            "UPDATE projection_generations SET position = $3, changed_at = now()
             WHERE projection = $1 AND generation = $2 AND state = 'building'",
        )
        .bind(NAME)
        .bind(self.generation)
        .bind(self.position.to_sql())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        connection.close().await?;
        self.changed.clear();
        Ok(())
    }

    async fn index(&self) -> Result<(), Error> {
        self.pool.execute(rows::schema_of(&self.table).1.as_str()).await?;
        Ok(())
    }

    /// Comes near to the live copy.
    async fn follow(&mut self, work: &mut Work) -> Result<(), Error> {
        loop {
            let live = rows::place(&self.pool).await?.0;
            if live.0.saturating_sub(self.position.0) <= work.switch_events_max {
                return Ok(());
            }
            let from = self.position;
            self.fold(work, Position(live.0.min(from.0 + work.segment_events)), live).await?;
            let mut connection = self.pool.acquire().await?;
            self.store_changed(&mut connection, from).await?;
        }
    }

    fn store_changed<'a>(
        &'a mut self,
        connection: &'a mut PgConnection,
        from: Position,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let changed: Vec<_> = self.changed.drain().filter_map(|id| self.rows.get(&id).cloned()).collect();
            let target = Target::Building { generation: self.generation, table: self.table.clone() };
            match rows::write(connection, &target, (from, self.position), &changed).await? {
                Applied::Committed => Ok(()),
                // The lease keeps others out; whoever changed it did so by hand.
                Applied::Moved => Err(Error::LeaseLost),
            }
        })
    }

    /// Holds the live copy back, catches up with it, compares, and switches; `None` where the locks were not to be had.
    async fn try_switch(&mut self, work: &mut Work) -> Result<Option<Outcome>, Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(&format!("SET LOCAL lock_timeout = '{LOCK_WAIT_MAX}'")).execute(&mut *transaction).await?;
        if !got_lock(lock_out_writers(&mut transaction).await)? {
            return Ok(None);
        }
        let seconds = work.began.elapsed().as_secs_f64();
        let live = rows::place(&self.pool).await?.0;
        let from = self.position;
        if live < from || live.0 - from.0 > 2 * work.switch_events_max {
            return Ok(None);
        }
        work.stages.enter(Phase::Comparing).await?;
        if live > from {
            self.fold(work, live, live).await?;
            // By itself: it stays, whatever becomes of the switch.
            let mut connection = self.pool.acquire().await?;
            self.store_changed(&mut connection, from).await?;
        }
        let (differences, shown) = self.compare(&mut transaction).await?;
        let outcome = |switched| Outcome {
            projection: NAME,
            generation: self.generation.unsigned_abs(),
            position: live,
            rows: self.rows.len() as u64,
            events: work.events,
            seconds,
            differences,
            shown,
            switched,
        };
        if work.dry_run {
            let outcome = outcome(false);
            transaction.rollback().await?;
            drop_generation(&self.pool, self.generation).await?;
            return Ok(Some(outcome));
        }
        let outcome = outcome(true);
        work.stages.enter(Phase::Switching).await?;
        if !got_lock(self.switch(&mut transaction).await)? {
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(outcome))
    }

    fn compare<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(u64, Vec<Difference>), Error>> {
        Box::pin(async move {
            type Pair = (Uuid, Option<Json<Map<String, Value>>>, Option<Json<Map<String, Value>>>);
            let row = |of: &str| {
                let columns: Vec<_> =
                    rows::COLUMNS.split(", ").map(|column| format!("{of}.{}", column.trim())).collect();
                format!("ROW({})", columns.join(", "))
            };
            let differing_rows = format!(
                "FROM {LIVE} AS live FULL JOIN {} AS new USING (concert_id) WHERE {} IS DISTINCT FROM {}",
                self.table,
                row("live"),
                row("new")
            );
            let sql = format!("SELECT count(*) {differing_rows}");
            let count: i64 = sqlx::query_scalar(&sql).fetch_one(&mut *connection).await?;
            if count == 0 {
                return Ok((0, Vec::new()));
            }
            let sql = format!(
                "SELECT concert_id, to_jsonb(live), to_jsonb(new) {differing_rows} ORDER BY concert_id LIMIT {DIFFERENCES_SHOWN_MAX}"
            );
            let pairs: Vec<Pair> = sqlx::query_as(&sql).fetch_all(connection).await?;
            let shown = pairs.into_iter().map(|(id, live, new)| Difference {
                row: format!("concert {id}"),
                fields: differing(live.as_deref(), new.as_deref()),
            });
            Ok((count.unsigned_abs(), shown.collect()))
        })
    }

    /// The new copy's table and indexes get the names of the live ones, and these get others. Needs that no reader is in
    /// the table, which each is for a statement only.
    fn switch<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query(&format!("LOCK TABLE {LIVE} IN ACCESS EXCLUSIVE MODE")).execute(&mut *connection).await?;
            let old: i32 = sqlx::query_scalar(
                "UPDATE projection_generations SET state = 'old', changed_at = now()
             WHERE projection = $1 AND state = 'live' RETURNING generation",
            )
            .bind(NAME)
            .fetch_one(&mut *connection)
            .await?;
            sqlx::query(
            "UPDATE projection_generations AS new SET state = 'live', changed_at = now(), revision = old.revision + 1
             FROM projection_generations AS old
             WHERE new.projection = $1 AND new.generation = $2 AND old.projection = $1 AND old.generation = $3",
        )
        .bind(NAME)
        .bind(self.generation)
        .bind(old)
        .execute(&mut *connection)
        .await?;
            let (old, new) = (table(old), &self.table);
            for (from, to) in [(LIVE, old.as_str()), (new.as_str(), LIVE)] {
                let sql = format!(
                    "ALTER TABLE {from} RENAME TO {to};
                 ALTER INDEX {from}_position RENAME TO {to}_position;
                 ALTER INDEX {from}_registered RENAME TO {to}_registered"
                );
                connection.execute(sql.as_str()).await?;
            }
            // What the old copy could not apply, the new one has.
            parking::forget(connection, None).await
        })
    }
}

async fn drop_generation(pool: &PgPool, generation: i32) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query(&format!("DROP TABLE IF EXISTS {}", table(generation))).execute(&mut *transaction).await?;
    sqlx::query("DELETE FROM projection_generations WHERE projection = $1 AND generation = $2 AND state = 'building'")
        .bind(NAME)
        .bind(generation)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether what needed a lock was done; an error of another kind is one.
fn got_lock(done: Result<(), Error>) -> Result<bool, Error> {
    match done {
        Ok(()) => Ok(true),
        Err(Error::Postgres(error))
            if error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref()
                == Some(LOCK_NOT_AVAILABLE) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
