//! The one statement of a batch, and what is done when its outcome is not known.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{
    Connection as _, Executor as _, PgConnection, Row,
    error::ErrorKind,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{AppendError, Position, append::Append};

/// Pause between two tries to reach Postgres.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Locks the head, takes positions, inserts, moves checkpoints: one statement is one transaction is one round trip.
/// `moved` reads `head`, so the head is locked before any checkpoint, by every process in the same order.
const APPEND: &str = "
WITH head AS (
    UPDATE journal_head
    SET position = position + cardinality($1), recorded_at = greatest(recorded_at, clock_timestamp())
    RETURNING position - cardinality($1) AS base, recorded_at
), appended AS (
    INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                        position, recorded_at)
    SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version, e.payload::json,
           e.metadata::json, head.base + e.nth, head.recorded_at
    FROM head, UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
         WITH ORDINALITY AS e (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, nth)
), moved AS (
    UPDATE checkpoints SET position = m.goes_to
    FROM head, UNNEST($8::text[], $9::bigint[], $10::bigint[]) AS m (name, comes_from, goes_to)
    WHERE checkpoints.name = m.name AND checkpoints.position = m.comes_from
    RETURNING 1
)
SELECT base, recorded_at, journal_require_moves((SELECT count(*) FROM moved), cardinality($8)) FROM head";

/// Where a batch stands in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// The position before its first event.
    pub base: Position,
    pub recorded_at: DateTime<Utc>,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// Postgres said no, and rolled back.
    Refused(Arc<sqlx::Error>),
    /// Postgres could not be reached; nothing was sent.
    Unreachable(Arc<sqlx::Error>),
    /// It may have been committed.
    Unknown(Arc<sqlx::Error>),
}

impl WriteError {
    /// Whether it is certain that nothing was written, and Postgres is there to try in smaller pieces.
    pub const fn is_certain(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Unreachable(_) | Self::Unknown(_) => false,
        }
    }

    /// The same for units that were not sent because of it; `None` where Postgres is there.
    pub fn nothing_sent_yet(&self) -> Option<Self> {
        match self {
            Self::Refused(_) => None,
            Self::Unreachable(error) | Self::Unknown(error) => Some(Self::Unreachable(Arc::clone(error))),
        }
    }

    pub fn to_append_error(&self) -> AppendError {
        match self {
            Self::Refused(error) => match error.as_database_error() {
                Some(refusal) if refusal.code().as_deref() == Some("BX001") => AppendError::CheckpointMoved,
                Some(refusal) if refusal.constraint() == Some("events_pkey") => {
                    AppendError::Conflict(refusal.message().to_owned())
                }
                Some(refusal) => match (refusal.kind(), refusal.constraint()) {
                    (ErrorKind::Other, _) | (_, None) => AppendError::Database(Arc::clone(error)),
                    (_, Some(constraint)) => AppendError::Constraint { constraint: constraint.to_owned() },
                },
                None => AppendError::Database(Arc::clone(error)),
            },
            Self::Unreachable(error) => AppendError::Unavailable(Arc::clone(error)),
            Self::Unknown(error) => AppendError::Unknown(Arc::clone(error)),
        }
    }
}

/// Whether Postgres certainly rolled back. A server that is going down may say so after the commit.
fn rolled_back(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| {
            let class = code.get(..2).unwrap_or_default();
            !matches!(class, "08" | "53" | "57" | "58" | "XX")
        }),
        sqlx::Error::Encode(_) | sqlx::Error::TypeNotFound { .. } => true,
        _ => false,
    }
}

/// The writer's own connection, which comes back when Postgres does.
pub(super) struct Connection {
    options: PgConnectOptions,
    open: Option<PgConnection>,
    reconnect_max: Duration,
}

impl Connection {
    pub fn new(options: PgConnectOptions, reconnect_max: Duration) -> Self {
        Self { options, open: None, reconnect_max }
    }

    pub async fn close(self) {
        if let Some(connection) = self.open
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the writer's connection did not close cleanly");
        }
    }

    /// Writes `appends` in one transaction, and finds out what became of it if the connection dies meanwhile.
    pub async fn write(&mut self, appends: &[&Append]) -> Result<Written, WriteError> {
        let deadline = Instant::now() + self.reconnect_max;
        let mut unknown: Option<Arc<sqlx::Error>> = None;
        loop {
            let connection = match self.connect(deadline).await {
                Ok(connection) => connection,
                Err(error) => return Err(unknown.map_or(WriteError::Unreachable(error), WriteError::Unknown)),
            };
            let error = match attempt(connection, appends, unknown.is_some(), deadline).await {
                Ok(written) => return Ok(written),
                Err(Failure::RolledBack(error)) => return Err(WriteError::Refused(Arc::new(error))),
                Err(Failure::Lost(error)) => Arc::new(error),
            };
            self.lost(&error);
            if Instant::now() >= deadline {
                return Err(WriteError::Unknown(error));
            }
            unknown = Some(error);
            sleep(RECONNECT_PAUSE).await;
        }
    }

    fn lost(&mut self, error: &sqlx::Error) {
        tracing::warn!(%error, "the connection to Postgres was lost in an append; looking for what became of it");
        self.open = None;
    }

    async fn connect(&mut self, deadline: Instant) -> Result<&mut PgConnection, Arc<sqlx::Error>> {
        if self.open.is_none() {
            self.open = Some(self.reach(deadline).await?);
        }
        self.open.as_mut().ok_or_else(|| Arc::new(sqlx::Error::PoolClosed))
    }

    async fn reach(&self, deadline: Instant) -> Result<PgConnection, Arc<sqlx::Error>> {
        loop {
            let error = match timeout_at(deadline, connected(&self.options)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            if Instant::now() + RECONNECT_PAUSE >= deadline {
                return Err(Arc::new(error));
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }
}

/// A connection for the one statement. Postgres has no idea how many rows the arrays hold and guesses so many that it would
/// compile the statement's expressions first, which takes longer than to run it.
async fn connected(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    connection.execute("SET jit = off").await?;
    Ok(connection)
}

/// How one try to write ended, other than well.
enum Failure {
    /// Certainly without effect.
    RolledBack(sqlx::Error),
    /// Nobody knows.
    Lost(sqlx::Error),
}

/// Writes once. After a try whose outcome is not known, first looks whether that one was committed after all; and again
/// where this one is refused, since the server may have finished the lost one while this one waited for the head.
async fn attempt(
    connection: &mut PgConnection,
    appends: &[&Append],
    after_unknown: bool,
    deadline: Instant,
) -> Result<Written, Failure> {
    let in_time = async {
        if after_unknown && let Some(written) = own_rows(connection, appends).await.map_err(Failure::Lost)? {
            return Ok(written);
        }
        match append(connection, appends).await {
            Ok(written) => Ok(written),
            Err(error) if rolled_back(&error) => {
                let committed =
                    if after_unknown { own_rows(connection, appends).await.map_err(Failure::Lost)? } else { None };
                committed.ok_or(Failure::RolledBack(error))
            }
            Err(error) => Err(Failure::Lost(error)),
        }
    };
    timeout_at(deadline, in_time).await.unwrap_or(Err(Failure::Lost(sqlx::Error::PoolTimedOut)))
}

async fn append(connection: &mut PgConnection, appends: &[&Append]) -> Result<Written, sqlx::Error> {
    let attachments: Vec<_> = appends.iter().filter_map(|append| append.attachment.clone()).collect();
    if attachments.is_empty() {
        return append_events(connection, appends).await;
    }
    let mut transaction = connection.begin().await?;
    let written = append_events(&mut transaction, appends).await?;
    for attachment in attachments {
        attachment.write(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(written)
}

async fn append_events(connection: &mut PgConnection, appends: &[&Append]) -> Result<Written, sqlx::Error> {
    let events = || appends.iter().flat_map(|append| &append.events);
    let moves = || appends.iter().filter_map(|append| append.checkpoint.as_ref());
    let row = sqlx::query(APPEND)
        .bind(events().map(|event| event.aggregate.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| event.aggregate_id.to_string()).collect::<Vec<_>>())
        .bind(events().map(|event| event.sequence.to_sql()).collect::<Vec<_>>())
        .bind(events().map(|event| event.event_type.as_ref()).collect::<Vec<_>>())
        .bind(events().map(|event| event.event_version).collect::<Vec<_>>())
        .bind(events().map(|event| event.payload.as_ref()).collect::<Vec<_>>())
        .bind(events().map(|event| event.metadata.as_ref()).collect::<Vec<_>>())
        .bind(moves().map(|step| step.name.as_ref()).collect::<Vec<_>>())
        .bind(moves().map(|step| step.from.to_sql()).collect::<Vec<_>>())
        .bind(moves().map(|step| step.to.to_sql()).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    written(&row)
}

fn written(row: &PgRow) -> Result<Written, sqlx::Error> {
    Ok(Written { base: Position::from_sql(row.try_get(0)?), recorded_at: row.try_get(1)? })
}

/// The batch's place in the log, if it is there. One transaction wrote all of it or none, so one row tells.
async fn own_rows(connection: &mut PgConnection, appends: &[&Append]) -> Result<Option<Written>, sqlx::Error> {
    if let Some((unit, first)) =
        appends.iter().find_map(|append| append.events.first().map(|event| (&append.unit, event)))
    {
        let row = sqlx::query(
            "SELECT position - 1, recorded_at FROM events
             WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3 AND metadata ->> 'unit' = $4",
        )
        .bind(first.aggregate.as_str())
        .bind(first.aggregate_id.to_string())
        .bind(first.sequence.to_sql())
        .bind(unit.as_ref())
        .fetch_optional(connection)
        .await?;
        return row.as_ref().map(written).transpose();
    }
    // Only a checkpoint moved. Whoever moved it there, that is where it had to be.
    let Some(step) = appends.iter().find_map(|append| append.checkpoint.as_ref()) else { return Ok(None) };
    let row = sqlx::query(
        "SELECT journal_head.position, journal_head.recorded_at FROM journal_head, checkpoints
         WHERE checkpoints.name = $1 AND checkpoints.position = $2",
    )
    .bind(step.name.as_ref())
    .bind(step.to.to_sql())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(written).transpose()
}
