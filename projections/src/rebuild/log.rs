//! The log, read from one position to another as fast as it can be: out of Postgres, or from any source of it.

use aggregates::{Event, Upcasters};
use chrono::{DateTime, Utc};
use futures::{FutureExt, TryStreamExt, future::BoxFuture};
use journal::{EventSource, Position};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::copy::{self, COLUMNS};
use crate::{Error, wanted::Wanted};

/// Events taken from a source at once, at most.
const SOURCE_EVENTS_MAX: usize = 4_096;

/// An event as a rebuild folds it.
#[derive(Debug)]
pub(crate) struct Read {
    pub position: Position,
    pub recorded_at: DateTime<Utc>,
    pub aggregate_id: Uuid,
    pub event: Event,
}

/// Where a rebuild reads the log.
pub struct Log(Kind);

enum Kind {
    Journal { pool: PgPool, connection: Option<PgConnection>, upcasters: Upcasters },
    Source { source: Box<dyn EventSource>, upcasters: Upcasters },
}

/// Out of the journal's tables.
pub fn journal(pool: PgPool) -> Log {
    Log(Kind::Journal { pool, connection: None, upcasters: Upcasters::current() })
}

/// From `source`, wherever that stands now.
pub fn source(source: Box<dyn EventSource>) -> Log {
    Log(Kind::Source { source, upcasters: Upcasters::current() })
}

/// What is done with each event.
pub(crate) type Each<'a> = &'a mut (dyn FnMut(Read) -> Result<(), Error> + Send);

impl Log {
    /// Hands the wanted events after `after` and up to `to` to `each`, in order; all of the log up to there must be there.
    pub(crate) fn read<'a>(
        &'a mut self,
        after: Position,
        to: Position,
        wanted: Wanted,
        each: Each<'a>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        match &mut self.0 {
            Kind::Journal { pool, connection, upcasters } => {
                read_journal(pool, connection, upcasters, (after, to), wanted, each).boxed()
            }
            Kind::Source { source, upcasters } => {
                read_source(source.as_mut(), upcasters, (after, to), wanted, each).boxed()
            }
        }
    }
}

async fn read_journal(
    pool: &PgPool,
    kept: &mut Option<PgConnection>,
    upcasters: &Upcasters,
    (after, to): (Position, Position),
    wanted: Wanted,
    each: Each<'_>,
) -> Result<(), Error> {
    if after >= to {
        return Ok(());
    }
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => pool.acquire().await?.detach(),
    };
    let copying = copy_out(&mut connection, upcasters, (after, to), wanted, each);
    // The rest of the log between is not even sent; that it is there is proved by counting positions, which are unique.
    let ((), found) = tokio::try_join!(copying, count(pool, after, to))?;
    if found != to.0 - after.0 {
        return Err(Error::Holes { after, to, found });
    }
    // One that failed in the middle of a copy is not kept.
    *kept = Some(connection);
    Ok(())
}

async fn count(pool: &PgPool, after: Position, to: Position) -> Result<u64, Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE position > $1 AND position <= $2")
        .bind(after.to_sql())
        .bind(to.to_sql())
        .fetch_one(pool)
        .await?;
    Ok(count.unsigned_abs())
}

async fn copy_out(
    connection: &mut PgConnection,
    upcasters: &Upcasters,
    (after, to): (Position, Position),
    wanted: Wanted,
    each: Each<'_>,
) -> Result<(), Error> {
    let sql = format!(
        "COPY (SELECT {COLUMNS} FROM events WHERE position > {after} AND position <= {to} AND {} ORDER BY position)
         TO STDOUT (FORMAT binary)",
        wanted.to_sql()
    );
    let mut messages = connection.copy_out_raw(&sql).await?;
    let mut is_first = true;
    while let Some(message) = messages.try_next().await? {
        copy::rows(&message, is_first, |row| {
            let event = Event::decode(upcasters, row.aggregate, row.event_type, row.event_version, row.payload);
            each(Read {
                position: row.position,
                recorded_at: row.recorded_at,
                aggregate_id: row.aggregate_id,
                event: event.map_err(|source| Error::Undecodable {
                    position: row.position,
                    aggregate: row.aggregate,
                    aggregate_id: row.aggregate_id,
                    source,
                })?,
            })
        })?;
        is_first = false;
    }
    Ok(())
}

async fn read_source(
    source: &mut dyn EventSource,
    upcasters: &Upcasters,
    (after, to): (Position, Position),
    wanted: Wanted,
    each: Each<'_>,
) -> Result<(), Error> {
    let mut at = after;
    if at < to && source.position() != at {
        source.seek(at);
    }
    while at < to {
        let left = usize::try_from(to.0 - at.0).unwrap_or(usize::MAX);
        for recorded in source.next(left.min(SOURCE_EVENTS_MAX)).await? {
            if recorded.position != at.next() {
                return Err(Error::Gap { expected: at.next(), got: recorded.position });
            }
            at = recorded.position;
            if !wanted.has(recorded.aggregate, &recorded.event_type) {
                continue;
            }
            let event = recorded.decode(upcasters).map_err(|source| Error::Undecodable {
                position: recorded.position,
                aggregate: recorded.aggregate,
                aggregate_id: recorded.aggregate_id,
                source,
            })?;
            let (position, recorded_at) = (recorded.position, recorded.recorded_at);
            each(Read { position, recorded_at, aggregate_id: recorded.aggregate_id, event })?;
        }
    }
    Ok(())
}
