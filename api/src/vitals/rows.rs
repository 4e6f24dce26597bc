//! The rows in Postgres.

use chrono::{DateTime, Utc};
use journal::create_tables;
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::Vitals;

/// Seconds after which anybody deletes the row of a process that has not written it: one that ends in order deletes its own.
pub(crate) const KEPT_SECONDS: f64 = 600.0;
/// What the sessions of our processes are called in `pg_stat_activity`, before the process.
const SESSION_PREFIX: &str = "boxoffice ";

/// What a process wrote last.
pub(crate) struct ProcessRow {
    pub process: Uuid,
    /// By the clock of Postgres.
    pub written_at: DateTime<Utc>,
    /// `None` where it is of a version that says it in another way.
    pub vitals: Option<Vitals>,
}

/// What the sessions of `process` are called in Postgres, so that one can tell who holds a lock.
pub(crate) fn session_name(process: Uuid) -> String {
    format!("{SESSION_PREFIX}{process}")
}

/// Whose session it is, if it is of one of our processes.
pub(crate) fn process_of_session(name: &str) -> Option<Uuid> {
    name.strip_prefix(SESSION_PREFIX)?.parse().ok()
}

/// Creates the table if need be.
pub(super) async fn create(pool: &PgPool) -> Result<(), sqlx::Error> {
    create_tables(pool, "process_vitals", include_str!("schema.sql")).await
}

/// Writes the row of `process`, and deletes those that nobody has written for long.
pub(super) async fn write(pool: &PgPool, process: Uuid, vitals: &Vitals) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH forgotten AS (
             DELETE FROM process_vitals WHERE written_at < now() - $3 * interval '1 second' AND process <> $1
         )
         INSERT INTO process_vitals (process, written_at, vitals) VALUES ($1, now(), $2)
         ON CONFLICT (process) DO UPDATE SET written_at = excluded.written_at, vitals = excluded.vitals",
    )
    .bind(process)
    .bind(Json(vitals))
    .bind(KEPT_SECONDS)
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes the row of `process`.
pub(super) async fn remove(pool: &PgPool, process: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM process_vitals WHERE process = $1").bind(process).execute(pool).await?;
    Ok(())
}

/// What every process wrote last. The table must be there.
pub(crate) async fn read(connection: &mut PgConnection) -> Result<Vec<ProcessRow>, sqlx::Error> {
    let rows: Vec<(Uuid, DateTime<Utc>, String)> =
        sqlx::query_as("SELECT process, written_at, vitals::text FROM process_vitals ORDER BY process")
            .fetch_all(connection)
            .await?;
    let row = |(process, written_at, vitals): (_, _, String)| ProcessRow {
        process,
        written_at,
        vitals: serde_json::from_str(&vitals).ok(),
    };
    Ok(rows.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_tells_its_process() {
        let process = Uuid::from_u128(7);
        assert_eq!(process_of_session(&session_name(process)), Some(process));
        assert_eq!(process_of_session("psql"), None);
        assert!(session_name(process).len() < 64, "Postgres cuts longer names");
    }
}
