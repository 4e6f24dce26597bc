//! Writes the past into the journal, with nobody else at it.

use std::path::Path;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use sqlx::{Connection as _, PgConnection};
use stack::{Postgres, PostgresOptions};

use super::{
    HOT_OF_TEN, People, Plan,
    pattern::{Of, Pattern},
};
use crate::error::Error;

/// Bytes collected before they are sent.
const CHUNK_BYTES: usize = 1 << 20;
/// Those who write to the log themselves; what they would do about these events is among these events.
const WRITERS: [&str; 2] = ["saga", "payment-work.v1"];

const COPY: &str = "COPY events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
                    position, recorded_at) FROM STDIN";

/// Writes as many whole bookings as the plan has events for; tickets sold of the hot concert.
pub(super) async fn write(data: &Path, plan: &Plan, people: &People, pattern: &Pattern) -> Result<u64, Error> {
    let server = Postgres::start(PostgresOptions::new(data.join("postgres"))).await?;
    let mut connection = PgConnection::connect(&server.url()).await?;
    let mut transaction = connection.begin().await?;
    let (head, recorded_at): (i64, DateTime<Utc>) =
        sqlx::query_as("SELECT position, recorded_at FROM journal_head FOR UPDATE")
            .fetch_one(&mut *transaction)
            .await?;
    let bookings = plan.events.div_ceil(pattern.events().unsigned_abs());
    let mut past = Writing { people, pattern, head, recorded_at, sequences: vec![1; people.others.len() + 1] };
    let mut copy = transaction.copy_in_raw(COPY).await?;
    let mut chunk = String::with_capacity(2 * CHUNK_BYTES);
    let mut hot = 0;
    for number in 0..bookings {
        hot += u64::from(past.booking(number, &mut chunk));
        if chunk.len() > CHUNK_BYTES {
            copy.send(chunk.as_bytes()).await?;
            chunk.clear();
        }
    }
    copy.send(chunk.as_bytes()).await?;
    copy.finish().await?;
    sqlx::query("UPDATE journal_head SET position = $1, recorded_at = $2")
        .bind(past.head)
        .bind(past.at(past.head))
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE checkpoints SET position = $1 WHERE name = ANY($2)")
        .bind(past.head)
        .bind(WRITERS.as_slice())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    // As autovacuum would have done over the time that this log took.
    sqlx::query("VACUUM ANALYZE events").execute(&mut connection).await?;
    connection.close().await?;
    server.stop().await?;
    Ok(hot)
}

struct Writing<'a> {
    people: &'a People,
    pattern: &'a Pattern,
    head: i64,
    recorded_at: DateTime<Utc>,
    /// Of the hot concert, then of the others.
    sequences: Vec<i64>,
}

impl Writing<'_> {
    /// One more booking; whether it is of the hot concert.
    fn booking(&mut self, number: u64, out: &mut String) -> bool {
        let hot = number % 10 < HOT_OF_TEN;
        let nth = |number: u64, of: usize| usize::try_from(number).unwrap_or(0) % of.max(1);
        let place = if hot { 0 } else { 1 + nth(number, self.people.others.len()) };
        let concert = place.checked_sub(1).map_or(self.people.hot, |other| self.people.others[other]);
        let fan = self.people.fans[nth(number, self.people.fans.len())];
        let of = Of { concert, fan, concert_sequence: self.sequences[place], base: self.head };
        self.pattern.write(out, &of, |position| self.at(position).to_rfc3339_opts(SecondsFormat::Micros, true));
        self.head += self.pattern.events();
        self.sequences[place] += self.pattern.concert_events();
        hot
    }

    /// A microsecond an event: never decreasing, and in the past by the time it is written.
    fn at(&self, position: i64) -> DateTime<Utc> {
        self.recorded_at + Duration::microseconds(position)
    }
}
