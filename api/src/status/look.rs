//! One look at Postgres and NATS.

use std::{collections::BTreeMap, time::Duration};

use journal::Position;
use sqlx::{Connection as _, PgConnection};
use thiserror::Error;
use tokio::time::timeout;

use super::{
    events::{self, Head},
    money,
    place::Place,
    rebuilds,
    report::Report,
    seen::{Seen, Unaged},
};
use crate::vitals;

/// How long Postgres may take for all that is asked of it in one look.
const POSTGRES_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long NATS may take to say how far the stream is.
const NATS_WAIT_MAX: Duration = Duration::from_secs(2);
/// What the server knows us by.
const NATS_NAME: &str = "boxoffice status";
/// Postgres' code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";
/// What one process does for all.
pub(super) const OFFICES: [&str; 4] = [nats::LEASE, saga::LEASE, payments::due::LEASE, seals::LEASE];

/// Why there is nothing to show.
#[derive(Debug, Error)]
pub(super) enum LookError {
    /// Without Postgres nothing is known.
    #[error("Postgres (DATABASE_URL in {source_name}) cannot be used: {error}; does the system run?")]
    Postgres { source_name: String, error: String },
    /// Another database, or one that no process was started on yet.
    #[error(
        "the database of DATABASE_URL in {source_name} holds no log of Boxoffice; the first process that is started \
         on it makes one"
    )]
    NoLog { source_name: String },
}

/// Looks, and keeps its connections for the next time.
pub(super) struct Looker {
    place: Place,
    postgres: Option<PgConnection>,
    nats: Option<nats::Client>,
}

impl Looker {
    pub fn new(place: Place) -> Self {
        Self { place, postgres: None, nats: None }
    }

    /// Where the system stands now.
    pub async fn look(&mut self) -> Result<Report, LookError> {
        let seen = timeout(POSTGRES_WAIT_MAX, see(&self.place, &mut self.postgres, &mut self.nats)).await;
        let error = match seen {
            Ok(Ok(seen)) => return Ok(seen.report()),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::Protocol(format!("no answer within {POSTGRES_WAIT_MAX:?}")),
        };
        // Whatever state it is in, the next look begins with a new one.
        self.postgres = None;
        let source_name = self.place.source_name.clone();
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        Err(match code.as_deref() {
            Some(UNDEFINED_TABLE) => LookError::NoLog { source_name },
            Some(_) | None => LookError::Postgres { source_name, error: error.to_string() },
        })
    }
}

async fn see(
    place: &Place,
    postgres: &mut Option<PgConnection>,
    nats: &mut Option<nats::Client>,
) -> Result<Seen, sqlx::Error> {
    let connection = match postgres {
        Some(connection) => connection,
        none => none.insert(PgConnection::connect_with(&place.database).await?),
    };
    // One snapshot: what is read first and what is read last belong together.
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let (unaged, mirrored) = tokio::join!(read(&mut transaction), mirrored(place, nats));
    let unaged = unaged?;
    let seen = Unaged { mirrored, ..unaged };
    let recorded_at = events::recorded_at(&mut transaction, &seen.first_unhandled()).await?;
    transaction.rollback().await?;
    Ok(Seen { unaged: seen, recorded_at })
}

/// All that Postgres knows, but the ages of what is not handled.
async fn read(connection: &mut PgConnection) -> Result<Unaged, sqlx::Error> {
    let head: Head = events::head(connection).await?;
    let events_per_second = events::rate(connection, &head).await?;
    let checkpoints = events::checkpoints(connection).await?;
    let offices = events::offices(connection, &OFFICES).await?;
    let has_work = exists(connection, "payment_work").await? && exists(connection, "payment_webhooks").await?;
    let work = if has_work { money::work(connection).await? } else { BTreeMap::new() };
    // By its other columns nobody could tell an old cancellation from one that goes on.
    let has_cancellations = has_column(connection, "concert_cancellations", "through_at").await?;
    let cancellations = if has_cancellations { money::cancellations(connection).await? } else { Vec::new() };
    let processes =
        if exists(connection, "process_vitals").await? { vitals::read(connection).await? } else { Vec::new() };
    let rebuilds =
        if exists(connection, "projection_rebuilds").await? { rebuilds::read(connection).await? } else { Vec::new() };
    let mirrored = Err(String::new());
    Ok(Unaged { head, events_per_second, checkpoints, offices, work, cancellations, rebuilds, processes, mirrored })
}

async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(connection).await
}

async fn has_column(connection: &mut PgConnection, table: &str, column: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped)",
    )
    .bind(table)
    .bind(column)
    .fetch_one(connection)
    .await
}

/// How far the stream is, or why nobody can say.
async fn mirrored(place: &Place, nats: &mut Option<nats::Client>) -> Result<Position, String> {
    let asking = async {
        let client = match nats {
            Some(client) => client,
            none => none.insert(nats::connect(&place.nats_url, NATS_NAME).await.map_err(|error| error.to_string())?),
        };
        nats::mirrored_position(client).await.map_err(|error| error.to_string())
    };
    timeout(NATS_WAIT_MAX, asking)
        .await
        .unwrap_or_else(|_| Err(format!("NATS does not answer within {NATS_WAIT_MAX:?}")))
}
