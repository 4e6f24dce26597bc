//! Parked events of the counts, in Postgres beside the rows.

use std::collections::HashMap;

use aggregates::{AggregateType, DecodeError};
use chrono::{DateTime, Utc};
use journal::Position;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::rows::NAME;
use crate::{Error, PARKED_MAX, Parked, batch::Entry};

/// What becomes of the events of one batch that cannot be applied.
#[derive(Debug, Default)]
pub(super) struct Parking {
    /// For the first time.
    pub new: Vec<Parked>,
    /// Behind what was parked before this batch: how many more wait.
    pub waiting: HashMap<Uuid, u64>,
}

impl Parking {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.waiting.is_empty()
    }

    /// Parks `entry`, unless `known` and what is new are too many already.
    pub fn park(&mut self, entry: &Entry, reason: &str, known: usize) -> Result<(), Error> {
        let recorded = &entry.recorded;
        if known + self.new.len() >= PARKED_MAX {
            return Err(Error::TooManyParked {
                position: recorded.position,
                aggregate: recorded.aggregate,
                aggregate_id: recorded.aggregate_id,
                reason: reason.to_owned(),
            });
        }
        self.new.push(Parked {
            position: recorded.position,
            aggregate: recorded.aggregate,
            aggregate_id: recorded.aggregate_id,
            event_type: recorded.event_type.to_string(),
            error: reason.to_owned(),
            attempts: 1,
            waiting: 0,
            parked_at: Utc::now(),
        });
        Ok(())
    }

    /// Counts `id`'s event as waiting, where something of it is parked.
    pub fn waits(&mut self, id: Uuid, known: &HashMap<Uuid, Parked>) -> bool {
        if let Some(parked) = self.new.iter_mut().find(|parked| parked.aggregate_id == id) {
            parked.waiting += 1;
            return true;
        }
        let is_known = known.contains_key(&id);
        if is_known {
            *self.waiting.entry(id).or_default() += 1;
        }
        is_known
    }
}

type Row = (Uuid, String, i64, String, String, i32, i64, DateTime<Utc>);

/// All that is parked, by position.
pub(super) async fn all(executor: impl PgExecutor<'_>) -> Result<Vec<Parked>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT aggregate_id, aggregate_type, position, event_type, error, attempts, waiting, parked_at
         FROM projection_parked WHERE projection = $1 ORDER BY position",
    )
    .bind(NAME)
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|(aggregate_id, aggregate, position, event_type, error, attempts, waiting, parked_at)| {
            let aggregate: AggregateType =
                aggregate.parse().map_err(|_: DecodeError| Error::Row { column: "aggregate_type" })?;
            Ok(Parked {
                position: Position::from_sql(position),
                aggregate,
                aggregate_id,
                event_type,
                error,
                attempts: attempts.unsigned_abs(),
                waiting: waiting.unsigned_abs(),
                parked_at,
            })
        })
        .collect()
}

/// Writes what is parked anew, and who waits behind what was.
pub(super) async fn write(connection: &mut PgConnection, parking: &Parking) -> Result<(), Error> {
    for parked in &parking.new {
        put(connection, parked).await?;
    }
    for (id, waiting) in &parking.waiting {
        sqlx::query("UPDATE projection_parked SET waiting = waiting + $3 WHERE projection = $1 AND aggregate_id = $2")
            .bind(NAME)
            .bind(id)
            .bind(i64::try_from(*waiting).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Writes one, over what was there of the same concert.
pub(super) async fn put(connection: &mut PgConnection, parked: &Parked) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO projection_parked (projection, aggregate_id, aggregate_type, position, event_type, error, attempts,
                                        waiting, parked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (projection, aggregate_id) DO UPDATE SET position = excluded.position,
             event_type = excluded.event_type, error = excluded.error, attempts = excluded.attempts,
             waiting = excluded.waiting, parked_at = excluded.parked_at, tried_at = now()",
    )
    .bind(NAME)
    .bind(parked.aggregate_id)
    .bind(parked.aggregate.as_str())
    .bind(parked.position.to_sql())
    .bind(&parked.event_type)
    .bind(&parked.error)
    .bind(parked.attempts.cast_signed())
    .bind(i64::try_from(parked.waiting).unwrap_or(i64::MAX))
    .bind(parked.parked_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes one out, or with `None` all.
pub(super) async fn forget(connection: &mut PgConnection, id: Option<Uuid>) -> Result<(), Error> {
    sqlx::query("DELETE FROM projection_parked WHERE projection = $1 AND aggregate_id = coalesce($2, aggregate_id)")
        .bind(NAME)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}
