//! What must still be done for payments, and the concerts that are being called off.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// Concerts called off that are shown, at most: the latest.
const CANCELLATIONS_MAX: i64 = 20;
/// Minutes that one is still shown after it is through.
const CANCELLATION_SHOWN_MINUTES: i32 = 10;

/// What can be to do for a payment, as the tables name it; the changes that the provider told of last.
const KINDS: [&str; 4] = ["settle", "refund", "verify", "webhook"];

/// What is to be done of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Work {
    /// What waits to be done.
    pub waiting: u64,
    /// Since when the longest of these could have been done.
    pub oldest_since: Option<DateTime<Utc>>,
    /// What it is time to do, or to try again.
    pub due: u64,
    /// Since when the longest of these waits for that.
    pub due_since: Option<DateTime<Utc>>,
    /// What was tried in vain.
    pub failed: u64,
    /// What was tried most often in vain.
    pub worst: Option<Failure>,
    /// What was given up, for a person to look at.
    pub for_a_person: u64,
}

/// A payment that something failed for; it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failure {
    pub payment_id: Uuid,
    pub tries: u32,
    pub last_error: Option<String>,
    pub next_try_at: DateTime<Utc>,
}

/// A concert that was called off, with all its bookings, until all money is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(super) struct Cancellation {
    pub concert_id: Uuid,
    pub name: Option<String>,
    /// Bookings it had that were to be cancelled.
    pub bookings: u64,
    /// Those that are.
    pub canceled: u64,
    /// Those whose tickets are free again, and so whose money, if any, is back.
    pub released: u64,
    pub started_at: DateTime<Utc>,
    /// When the last of these was.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What waits, and may be tried for in vain: rows of one kind each. Both tables must be there. A column that an older version
/// has not made is found outside, where it says nothing.
const WORK: &str = "(
    SELECT known.* FROM (SELECT NULL::timestamptz AS since, false AS for_a_person) AS older, LATERAL (
        SELECT kind, payment_id, since, due_at, tries, last_error, for_a_person FROM payment_work
        UNION ALL
        SELECT 'webhook', payment_id, received_at, due_at, tries, last_error, heeded_at IS NOT NULL FROM payment_webhooks
        WHERE heeded_at IS NULL OR last_error IS NOT NULL
    ) AS known
) AS work";

/// Of one kind: how much waits and since when, is due and since when, was tried in vain, and is for a person.
type Counts = (String, i64, Option<DateTime<Utc>>, i64, Option<DateTime<Utc>>, i64, i64);
/// Of one kind, what was tried most often: payment, tries, last error, next try.
type Failures = (String, Uuid, i32, Option<String>, DateTime<Utc>);

/// What is to be done, by kind; the tables must be there.
pub(super) async fn work(connection: &mut PgConnection) -> Result<BTreeMap<String, Work>, sqlx::Error> {
    let mut work: BTreeMap<_, _> = KINDS.map(|kind| (kind.to_owned(), Work::default())).into();
    let counts = format!(
        "SELECT kind, count(*) FILTER (WHERE NOT for_a_person),
                min(since) FILTER (WHERE NOT for_a_person AND since <= now()),
                count(*) FILTER (WHERE NOT for_a_person AND due_at <= now()),
                min(due_at) FILTER (WHERE NOT for_a_person AND due_at <= now()),
                count(*) FILTER (WHERE NOT for_a_person AND tries > 0),
                count(*) FILTER (WHERE for_a_person)
         FROM {WORK} GROUP BY kind"
    );
    let counts: Vec<Counts> = sqlx::query_as(&counts).fetch_all(&mut *connection).await?;
    for (kind, waiting, oldest_since, due, due_since, failed, for_a_person) in counts {
        let [waiting, due, failed, for_a_person] = [waiting, due, failed, for_a_person].map(i64::cast_unsigned);
        work.insert(kind, Work { waiting, oldest_since, due, due_since, failed, worst: None, for_a_person });
    }
    let failures = format!(
        "SELECT DISTINCT ON (kind) kind, payment_id, tries, last_error, due_at
         FROM {WORK} WHERE tries > 0 AND NOT for_a_person ORDER BY kind, tries DESC, due_at"
    );
    let failures: Vec<Failures> = sqlx::query_as(&failures).fetch_all(connection).await?;
    for (kind, payment_id, tries, last_error, next_try_at) in failures {
        let failure = Failure { payment_id, tries: tries.cast_unsigned(), last_error, next_try_at };
        work.entry(kind).or_default().worst = Some(failure);
    }
    Ok(work)
}

/// Concerts that are being called off, or were lately; the table must be there, with all its columns.
pub(super) async fn cancellations(connection: &mut PgConnection) -> Result<Vec<Cancellation>, sqlx::Error> {
    let rows: Vec<Json<Cancellation>> = sqlx::query_scalar(
        "SELECT to_jsonb(cancellation) || jsonb_build_object('name', (
                    SELECT payload -> 'ConcertRegistered' ->> 'name' FROM events
                    WHERE aggregate_type = 'concert' AND aggregate_id = cancellation.concert_id::text AND sequence = 1
                ), 'finished_at', through_at, 'released', CASE WHEN through_at IS NOT NULL THEN bookings ELSE (
                    SELECT least(count(*), bookings) FROM events
                    WHERE aggregate_type = 'concert' AND aggregate_id = cancellation.concert_id::text
                      AND event_type = 'TicketsReleased' AND sequence > (
                        SELECT sequence FROM events AS called_off WHERE called_off.position = cancellation.position)) END)
         FROM concert_cancellations AS cancellation
         WHERE through_at IS NULL OR through_at > now() - make_interval(mins => $1)
         ORDER BY through_at IS NOT NULL, started_at DESC LIMIT $2",
    )
    .bind(CANCELLATION_SHOWN_MINUTES)
    .bind(CANCELLATIONS_MAX)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}
