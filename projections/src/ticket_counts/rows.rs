//! The rows in Postgres.

use aggregates::{ConcertId, Counts, Money, Qty, UserId};
use journal::{Position, create_tables};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::ConcertView;
use crate::{Applied, Error, currency};

/// The checkpoint's name: name and version of the projection.
pub(super) const CHECKPOINT: &str = "ticket-counts.v1";

const SCHEMA: &str = include_str!("schema.sql");

/// In the order in which [`from_row`] reads them.
pub(super) const COLUMNS: &str = "concert_id, organizer_id, name, venue, starts_at, price_amount, price_currency, \
                       max_per_booking, hold_seconds, canceled, capacity, held, sold, registered_position, position";

/// Moves the checkpoint, and only if it moved writes the rows: one statement is one transaction is one round trip.
///
/// The commit does not wait for the disk: effect and checkpoint are lost together or not at all, and what is lost is
/// made again from the log. So the journal's own commits have the disk to themselves.
const WRITE: &str = "
WITH moved AS (
    UPDATE checkpoints SET position = $3 WHERE name = $1 AND position = $2 RETURNING 1
), written AS (
    INSERT INTO ticket_counts_v1 (concert_id, organizer_id, name, venue, starts_at, price_amount, price_currency,
                                  max_per_booking, hold_seconds, canceled, capacity, held, sold, registered_position,
                                  position)
    SELECT c.* FROM moved, UNNEST($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[], $9::bigint[],
                                  $10::text[], $11::integer[], $12::integer[], $13::boolean[], $14::integer[],
                                  $15::integer[], $16::integer[], $17::bigint[], $18::bigint[]) AS c
    ON CONFLICT (concert_id) DO UPDATE SET canceled = excluded.canceled, capacity = excluded.capacity,
        held = excluded.held, sold = excluded.sold, position = excluded.position
)
SELECT count(*), set_config('synchronous_commit', 'off', true) FROM moved";

/// Creates what is not there yet.
pub(super) async fn create(pool: &PgPool) -> Result<(), Error> {
    Ok(create_tables(pool, CHECKPOINT, SCHEMA).await?)
}

/// The checkpoint, without creating it.
pub(super) async fn position(pool: &PgPool) -> Result<Position, Error> {
    let position: Option<i64> = sqlx::query_scalar("SELECT position FROM checkpoints WHERE name = $1")
        .bind(CHECKPOINT)
        .fetch_optional(pool)
        .await?;
    Ok(position.map_or_else(Position::default, Position::from_sql))
}

/// Those of `ids` that there are.
pub(super) async fn by_id(pool: &PgPool, ids: &[ConcertId]) -> Result<Vec<ConcertView>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let sql = format!("SELECT {COLUMNS} FROM ticket_counts_v1 WHERE concert_id = ANY($1)");
    sqlx::query(&sql).bind(ids).fetch_all(pool).await?.iter().map(from_row).collect()
}

/// Rows that changed after `position`, in the order in which they did, `max` at most.
pub(super) async fn changed_after(pool: &PgPool, position: Position, max: usize) -> Result<Vec<ConcertView>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM ticket_counts_v1 WHERE position > $1 ORDER BY position LIMIT $2");
    let rows = sqlx::query(&sql).bind(position.to_sql()).bind(limit(max)).fetch_all(pool).await?;
    rows.iter().map(from_row).collect()
}

/// Rows registered before `before`, newest first, `max` at most.
pub(super) async fn newest(pool: &PgPool, before: Position, max: usize) -> Result<Vec<ConcertView>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM ticket_counts_v1 WHERE registered_position < $1 ORDER BY registered_position DESC LIMIT $2"
    );
    let rows = sqlx::query(&sql).bind(before.to_sql()).bind(limit(max)).fetch_all(pool).await?;
    rows.iter().map(from_row).collect()
}

/// Writes `rows` and moves the checkpoint, or neither.
pub(super) async fn write(
    pool: &PgPool,
    (from, to): (Position, Position),
    rows: &[ConcertView],
) -> Result<Applied, Error> {
    fn column<T>(rows: &[ConcertView], of: impl Fn(&ConcertView) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    // Every number was checked on its way into the log; what Postgres cannot hold, its own checks refuse.
    let integer = |number: u32| i32::try_from(number).unwrap_or(i32::MIN);
    let moved: i64 = sqlx::query_scalar(WRITE)
        .bind(CHECKPOINT)
        .bind(from.to_sql())
        .bind(to.to_sql())
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
        .fetch_one(pool)
        .await?;
    Ok(if moved == 1 { Applied::Committed } else { Applied::Moved })
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
