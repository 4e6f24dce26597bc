//! The rows in Postgres.

use std::{borrow::Cow, sync::LazyLock};

use aggregates::{ConcertId, Counts, Money, Qty, UserId};
use futures::future::BoxFuture;
use journal::{Position, create_tables};
use sqlx::{
    PgConnection, PgPool, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::QueryAs,
};
use uuid::Uuid;

use super::ConcertView;
use crate::{Applied, Error, currency};

/// The projection's name, as in the registry of generations.
pub(super) const NAME: &str = "ticket-counts";
/// The checkpoint's name: name of the projection and shape of its table.
pub(super) const CHECKPOINT: &str = "ticket-counts.v1";
/// The table of the live generation, whichever it is: a switch renames, so that who reads or writes it does nothing else
/// than before.
pub(super) const LIVE: &str = "ticket_counts_v1";

const SCHEMA: &str = include_str!("schema.sql");
const GENERATIONS: &str = include_str!("generations.sql");

/// In the order in which [`from_row`] reads them.
pub(super) const COLUMNS: &str = "concert_id, organizer_id, name, venue, starts_at, price_amount, price_currency, \
                                  max_per_booking, hold_seconds, canceled, capacity, held, sold, registered_position, \
                                  position";

/// Whose rows are written, and what must still be so.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// The live ones, as long as nobody else has changed them: neither a switch nor a retry.
    Live {
        /// Of the registry.
        revision: i64,
    },
    /// Those of a generation that is being built.
    Building {
        /// Its number.
        generation: i32,
        /// Its table.
        table: String,
    },
}

/// Moves the checkpoint, and only if it moved writes the rows: one statement is one transaction is one round trip.
///
/// Whoever changes the rows beside this writer (a switch, a retry) holds the table's lock in a mode that keeps this
/// statement out until it has committed. A statement takes its locks before its snapshot, so it sees what was changed,
/// the revision included.
fn write_sql(table: &str, moved: &str) -> String {
    let put = put_sql(table, "moved, ");
    format!(
        "WITH moved AS ({moved} RETURNING 1), written AS ({put})
         SELECT count(*), set_config('synchronous_commit', 'off', true) FROM moved"
    )
}

/// Puts the rows of the first fifteen parameters, for each that `also` has.
fn put_sql(table: &str, also: &str) -> String {
    format!(
        "INSERT INTO {table} ({COLUMNS})
         SELECT c.* FROM {also}UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[],
                                      $7::text[], $8::integer[], $9::integer[], $10::boolean[], $11::integer[],
                                      $12::integer[], $13::integer[], $14::bigint[], $15::bigint[]) AS c
         ON CONFLICT (concert_id) DO UPDATE SET canceled = excluded.canceled, capacity = excluded.capacity,
             held = excluded.held, sold = excluded.sold, position = excluded.position"
    )
}

/// The commit does not wait for the disk: effect and checkpoint are lost together or not at all, and what is lost is made
/// again from the log. So the journal's own commits have the disk to themselves.
static WRITE_LIVE: LazyLock<String> = LazyLock::new(|| {
    write_sql(
        LIVE,
        "UPDATE checkpoints SET position = $18 WHERE name = $16 AND position = $17
         AND EXISTS (SELECT FROM projection_generations WHERE projection = 'ticket-counts' AND state = 'live'
                     AND revision = $19)",
    )
});

impl Target {
    /// The statement, the name and the fence that it wants.
    fn statement(&self) -> (Cow<'static, str>, &'static str, i64) {
        match self {
            Self::Live { revision } => (Cow::Borrowed(&WRITE_LIVE), CHECKPOINT, *revision),
            Self::Building { generation, table } => {
                let moved = "UPDATE projection_generations SET position = $18, changed_at = now()
                             WHERE projection = $16 AND position = $17 AND state = 'building' AND generation = $19";
                (Cow::Owned(write_sql(table, moved)), NAME, (*generation).into())
            }
        }
    }
}

/// Creates what is not there yet: table, registry, and in it the generation that there is.
pub(super) async fn create(pool: &PgPool, version: u32) -> Result<(), Error> {
    create_tables(pool, "projection_generations", GENERATIONS).await?;
    create_tables(pool, CHECKPOINT, SCHEMA).await?;
    // At most one is live, so this does nothing wherever there is one.
    sqlx::query(
        "INSERT INTO projection_generations (projection, generation, version, state, position)
         VALUES ($1, 1, $2, 'live', 0) ON CONFLICT DO NOTHING",
    )
    .bind(NAME)
    .bind(version.cast_signed())
    .execute(pool)
    .await?;
    Ok(())
}

/// The statement that makes a table like the live one, and the ones that make its indexes. A constraint's name is its
/// table's own affair, so that stays.
pub(super) fn schema_of(table: &str) -> (String, String) {
    let (constraint, renamed) = (format!("{LIVE}_no_oversell"), format!("{table}_no_oversell"));
    let schema = SCHEMA.replace(LIVE, table).replace(&renamed, &constraint);
    let indexes = schema.find("CREATE UNIQUE INDEX").unwrap_or(schema.len());
    (schema[..indexes].to_owned(), schema[indexes..].to_owned())
}

/// How far the live generation is, and how often its rows were changed by others than its writer.
pub(super) async fn place(pool: &PgPool) -> Result<(Position, i64), Error> {
    let (position, revision): (Option<i64>, i64) = sqlx::query_as(
        "SELECT (SELECT position FROM checkpoints WHERE name = $1), revision
         FROM projection_generations WHERE projection = $2 AND state = 'live'",
    )
    .bind(CHECKPOINT)
    .bind(NAME)
    .fetch_one(pool)
    .await?;
    Ok((position.map_or_else(Position::default, Position::from_sql), revision))
}

/// Those of `ids` that there are.
pub(super) async fn by_id(pool: &PgPool, ids: &[ConcertId]) -> Result<Vec<ConcertView>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let sql = format!("SELECT {COLUMNS} FROM {LIVE} WHERE concert_id = ANY($1)");
    sqlx::query(&sql).bind(ids).fetch_all(pool).await?.iter().map(from_row).collect()
}

/// Rows that changed after `position`, in the order in which they did, `max` at most.
pub(super) async fn changed_after(pool: &PgPool, position: Position, max: usize) -> Result<Vec<ConcertView>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM {LIVE} WHERE position > $1 ORDER BY position LIMIT $2");
    let rows = sqlx::query(&sql).bind(position.to_sql()).bind(limit(max)).fetch_all(pool).await?;
    rows.iter().map(from_row).collect()
}

/// Rows registered before `before`, newest first, `max` at most.
pub(super) async fn newest(pool: &PgPool, before: Position, max: usize) -> Result<Vec<ConcertView>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {LIVE} WHERE registered_position < $1 ORDER BY registered_position DESC LIMIT $2"
    );
    let rows = sqlx::query(&sql).bind(before.to_sql()).bind(limit(max)).fetch_all(pool).await?;
    rows.iter().map(from_row).collect()
}

/// Writes `rows` and moves the checkpoint, or neither.
pub(super) fn write<'a>(
    connection: &'a mut PgConnection,
    target: &'a Target,
    (from, to): (Position, Position),
    rows: &'a [ConcertView],
) -> BoxFuture<'a, Result<Applied, Error>> {
    Box::pin(async move {
        let (sql, name, fence) = target.statement();
        let (moved, _): (i64, String) = bind_rows(sqlx::query_as(&sql), rows)
            .bind(name)
            .bind(from.to_sql())
            .bind(to.to_sql())
            .bind(fence)
            .fetch_one(connection)
            .await?;
        Ok(if moved == 1 { Applied::Committed } else { Applied::Moved })
    })
}

/// Puts `rows` into `table`, whatever the checkpoint is.
pub(super) async fn put(connection: &mut PgConnection, table: &str, rows: &[ConcertView]) -> Result<(), Error> {
    let sql = put_sql(table, "");
    bind_rows(sqlx::query_as::<_, ()>(&sql), rows).fetch_optional(connection).await?;
    Ok(())
}

type Rows<'q, T> = QueryAs<'q, Postgres, T, PgArguments>;

fn bind_rows<'q, T>(query: Rows<'q, T>, rows: &[ConcertView]) -> Rows<'q, T> {
    fn column<T>(rows: &[ConcertView], of: impl Fn(&ConcertView) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    // Every number was checked on its way into the log; what Postgres cannot hold, its own checks refuse.
    let integer = |number: u32| i32::try_from(number).unwrap_or(i32::MIN);
    query
        .bind(column(rows, |row| row.id.0))
        .bind(column(rows, |row| row.organizer_id.0))
        .bind(column(rows, |row| row.name.clone()))
        .bind(column(rows, |row| row.venue.clone()))
        .bind(column(rows, |row| row.starts_at))
        .bind(column(rows, |row| i64::try_from(row.price.amount).unwrap_or(i64::MIN)))
        .bind(column(rows, |row| currency::code(row.price.currency)))
        .bind(column(rows, |row| row.max_per_booking.map(|qty| integer(qty.get()))))
        .bind(column(rows, |row| integer(row.hold_seconds)))
        .bind(column(rows, |row| row.canceled))
        .bind(column(rows, |row| integer(row.counts.capacity)))
        .bind(column(rows, |row| integer(row.counts.held)))
        .bind(column(rows, |row| integer(row.counts.sold)))
        .bind(column(rows, |row| row.registered_position.to_sql()))
        .bind(column(rows, |row| row.position.to_sql()))
}

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

pub(super) fn from_row(row: &PgRow) -> Result<ConcertView, Error> {
    let tickets = |index: usize, column: &'static str| {
        row.try_get::<i32, _>(index)
            .map_err(Error::from)
            .and_then(|n| u32::try_from(n).map_err(|_| Error::Row { column }))
    };
    let max_per_booking = row
        .try_get::<Option<i32>, _>(7)?
        .map(|n| u32::try_from(n).ok().and_then(|n| Qty::new(n).ok()).ok_or(Error::Row { column: "max_per_booking" }));
    Ok(ConcertView {
        id: ConcertId(row.try_get(0)?),
        organizer_id: UserId(row.try_get(1)?),
        name: row.try_get(2)?,
        venue: row.try_get(3)?,
        starts_at: row.try_get(4)?,
        price: Money {
            amount: u64::try_from(row.try_get::<i64, _>(5)?).map_err(|_| Error::Row { column: "price_amount" })?,
            currency: currency::parse(row.try_get(6)?).ok_or(Error::Row { column: "price_currency" })?,
        },
        max_per_booking: max_per_booking.transpose()?,
        hold_seconds: tickets(8, "hold_seconds")?,
        canceled: row.try_get(9)?,
        counts: Counts { capacity: tickets(10, "capacity")?, held: tickets(11, "held")?, sold: tickets(12, "sold")? },
        registered_position: Position::from_sql(row.try_get(13)?),
        position: Position::from_sql(row.try_get(14)?),
    })
}
