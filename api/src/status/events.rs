//! What the log itself tells: where it ends, how fast it grows, who follows it how far, and who holds which office.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use journal::Position;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::vitals::process_of_session;

/// Seconds that the rate is taken of.
pub(super) const RATE_SECONDS: u32 = 10;

/// The end of the log.
pub(super) struct Head {
    /// When this was read, by the clock of Postgres, which also the events have their times from.
    pub at: DateTime<Utc>,
    pub position: Position,
    pub recorded_at: Option<DateTime<Utc>>,
}

pub(super) async fn head(connection: &mut PgConnection) -> Result<Head, sqlx::Error> {
    // Not the head's own time: that also moves when a checkpoint alone does.
    let (at, position, recorded_at): (DateTime<Utc>, i64, Option<DateTime<Utc>>) = sqlx::query_as(
        "SELECT clock_timestamp(), head.position, last.recorded_at
         FROM journal_head AS head LEFT JOIN events AS last ON last.position = head.position",
    )
    .fetch_one(connection)
    .await?;
    Ok(Head { at, position: Position::from_sql(position), recorded_at })
}

/// Events a second, of the last [`RATE_SECONDS`].
///
/// `recorded_at` never decreases with the position, so the first event of that time is found by bisection: some twenty
/// look-ups by the index of positions, however long the log is.
pub(super) async fn rate(connection: &mut PgConnection, head: &Head) -> Result<f64, sqlx::Error> {
    let first: i64 = sqlx::query_scalar(
        "WITH RECURSIVE bisection(low, high) AS (
             SELECT 0::bigint, $1::bigint + 1
           UNION ALL
             SELECT CASE WHEN earlier THEN middle ELSE low END, CASE WHEN earlier THEN high ELSE middle END
             FROM (SELECT low, high, (low + high) / 2 AS middle,
                          (SELECT recorded_at < $2 FROM events WHERE position = (low + high) / 2) AS earlier
                   FROM bisection WHERE high - low > 1) AS half
         )
         SELECT min(high) FROM bisection",
    )
    .bind(head.position.to_sql())
    .bind(head.at - Duration::seconds(RATE_SECONDS.into()))
    .fetch_one(connection)
    .await?;
    let events = head.position.next().0.saturating_sub(Position::from_sql(first).0);
    Ok(f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / f64::from(RATE_SECONDS))
}

/// How far each follower has come that keeps its checkpoint in Postgres.
pub(super) async fn checkpoints(connection: &mut PgConnection) -> Result<Vec<(String, Position)>, sqlx::Error> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT name, position FROM checkpoints ORDER BY name").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(name, position)| (name, Position::from_sql(position))).collect())
}

/// When these events were recorded; those that are not in the log yet are left out.
pub(super) async fn recorded_at(
    connection: &mut PgConnection,
    positions: &[Position],
) -> Result<HashMap<Position, DateTime<Utc>>, sqlx::Error> {
    let positions: Vec<i64> = positions.iter().copied().map(Position::to_sql).collect();
    let rows: Vec<(i64, DateTime<Utc>)> =
        sqlx::query_as("SELECT position, recorded_at FROM events WHERE position = ANY($1)")
            .bind(positions)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(position, at)| (Position::from_sql(position), at)).collect())
}

/// Who holds an office.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    /// One of our processes.
    Process(Uuid),
    /// A session of another name.
    Stranger,
}

/// Who holds these offices: the locks of `journal::elect`, and the names of the sessions that hold them.
pub(super) async fn offices(
    connection: &mut PgConnection,
    names: &[&'static str],
) -> Result<Vec<(&'static str, Holder)>, sqlx::Error> {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT office.name, coalesce(session.application_name, '')
         FROM unnest($1::text[]) AS office(name)
         JOIN pg_locks AS held ON held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
              AND held.classid = hashtext('boxoffice')::oid AND held.objid = hashtext(office.name)::oid
              AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         LEFT JOIN pg_stat_activity AS session ON session.pid = held.pid",
    )
    .bind(names)
    .fetch_all(connection)
    .await?;
    let holder = |name: &str| match rows.iter().find(|(held, _)| held == name) {
        None => Holder::Nobody,
        Some((_, session)) => session.as_deref().and_then(process_of_session).map_or(Holder::Stranger, Holder::Process),
    };
    Ok(names.iter().map(|name| (*name, holder(name))).collect())
}
