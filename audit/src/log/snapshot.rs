//! One snapshot of Postgres, in which everything that is looked at belongs together.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use journal::Position;
use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};

use crate::Error;

/// Postgres' code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// A read-only transaction that sees one state of the database however long it takes.
pub struct Snapshot {
    options: PgConnectOptions,
    pub(crate) connection: PgConnection,
    /// What others see the same state by.
    id: String,
    /// Where the log ends, by the journal's head.
    pub head: Position,
    /// The head's own time.
    pub head_recorded_at: DateTime<Utc>,
    /// How far each follower of the log has come.
    pub checkpoints: HashMap<String, Position>,
    /// When it was taken.
    pub taken_at: DateTime<Utc>,
}

impl Snapshot {
    /// Takes one.
    pub async fn take(options: &PgConnectOptions) -> Result<Self, Error> {
        let mut connection = PgConnection::connect_with(options).await.map_err(Error::Connect)?;
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        // In position order by the index, whatever the planner thinks of it: a sort would be of the whole log.
        connection.execute("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off; SET LOCAL jit = off").await?;
        let (id, taken_at): (String, DateTime<Utc>) =
            sqlx::query_as("SELECT pg_export_snapshot(), now()").fetch_one(&mut connection).await?;
        // The head is at the beginning of time until the first event.
        let head: Result<Option<(i64, DateTime<Utc>)>, _> =
            sqlx::query_as("SELECT position, greatest(recorded_at, to_timestamp(0)) FROM journal_head")
                .fetch_optional(&mut connection)
                .await;
        let (head, head_recorded_at) = match head {
            Ok(row) => row.ok_or(Error::NoHead)?,
            Err(sqlx::Error::Database(refusal)) if refusal.code().as_deref() == Some(UNDEFINED_TABLE) => {
                return Err(Error::NoLog);
            }
            Err(error) => return Err(error.into()),
        };
        let checkpoints: Vec<(String, i64)> =
            sqlx::query_as("SELECT name, position FROM checkpoints").fetch_all(&mut connection).await?;
        let checkpoints = checkpoints.into_iter().map(|(name, at)| (name, Position::from_sql(at))).collect();
        let options = options.clone();
        Ok(Self { options, connection, id, head: Position::from_sql(head), head_recorded_at, checkpoints, taken_at })
    }

    /// The transaction itself, to read in it.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Another connection that sees the same state, for who reads beside.
    pub async fn beside(&self) -> Result<PgConnection, Error> {
        let mut connection = PgConnection::connect_with(&self.options).await.map_err(Error::Connect)?;
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        // The id is Postgres' own, of digits and dashes.
        connection.execute(format!("SET TRANSACTION SNAPSHOT '{}'", self.id).as_str()).await?;
        Ok(connection)
    }
}
