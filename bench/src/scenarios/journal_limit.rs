//! `journal-limit`: what this Postgres takes, with nothing of the product before it. The events of real bookings, with
//! other ids, go into a table of the same shape by one multi-row insert after the other, on one connection.

use futures::{FutureExt as _, future::BoxFuture};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Check, Round, Scenario, Stage,
    peers::database,
    sample::{EVENT_TYPES, Sample, SampleEvent},
};
use crate::{
    error::Error,
    load::{Load, Outcome},
};

/// Bookings in one insert; three events each. As many as the buyers who are served at once by default.
const BATCH_BOOKINGS: usize = 256;

/// A database of its own on the product's server, so that settings, WAL and disk are the same.
const DATABASE: &str = "journal_limit";

/// The journal's table, its key, its index and its checks.
const TABLE: &str = "
CREATE TABLE events (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 1),
    event_type text NOT NULL,
    event_version text NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    position bigint NOT NULL CHECK (position >= 1),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
CREATE UNIQUE INDEX events_position ON events (position);";

const INSERT: &str = "
INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, position,
                    recorded_at)
SELECT a, i, s, t, v, p::json, m::json, n, clock_timestamp()
FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
     AS e (a, i, s, t, v, p, m, n)";

/// The scenario.
pub(super) struct JournalLimit {
    connection: PgConnection,
    sample: Sample,
    /// Ids of the sample, as they stand in its texts.
    ids: [String; 2],
    position: i64,
    /// Of the concert, which is one for all.
    sequence: i64,
}

impl JournalLimit {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let mut sample = Sample::take(stage).await?;
        sample.events.retain(|event| EVENT_TYPES.contains(&event.event_type.as_str()));
        let options = database(&stage.product, DATABASE, TABLE).await?;
        let connection = PgConnection::connect_with(&options).await?;
        let ids = [sample.booking.to_string(), sample.payment.to_string()];
        Ok(Self { connection, sample, ids, position: 0, sequence: 0 })
    }

    async fn insert(&mut self) -> Result<u64, Error> {
        let mut columns = Columns::default();
        for _ in 0..BATCH_BOOKINGS {
            let new = [Uuid::now_v7().to_string(), Uuid::now_v7().to_string()];
            self.sequence += 1;
            for event in &self.sample.events {
                self.position += 1;
                columns.add(event, &self.ids, &new, self.sequence, self.position);
            }
        }
        let Columns { types, ids, sequences, names, versions, payloads, metadata, positions } = columns;
        let done = sqlx::query(INSERT)
            .bind(types)
            .bind(ids)
            .bind(sequences)
            .bind(names)
            .bind(versions)
            .bind(payloads)
            .bind(metadata)
            .bind(positions)
            .execute(&mut self.connection)
            .await?;
        Ok(done.rows_affected())
    }
}

/// A batch, column by column.
#[derive(Default)]
struct Columns<'a> {
    types: Vec<&'a str>,
    ids: Vec<String>,
    sequences: Vec<i64>,
    names: Vec<&'a str>,
    versions: Vec<&'a str>,
    payloads: Vec<String>,
    metadata: Vec<&'a str>,
    positions: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn add(&mut self, event: &'a SampleEvent, old: &[String; 2], new: &[String; 2], sequence: i64, position: i64) {
        let renamed = |text: &str| text.replace(&old[0], &new[0]).replace(&old[1], &new[1]);
        let id = renamed(&event.aggregate_id);
        self.sequences.push(if id == event.aggregate_id { sequence } else { 1 });
        self.ids.push(id);
        self.types.push(&event.aggregate_type);
        self.names.push(&event.event_type);
        self.versions.push(&event.event_version);
        self.payloads.push(renamed(&event.payload));
        self.metadata.push(&event.metadata);
        self.positions.push(position);
    }
}

impl Scenario for JournalLimit {
    fn round<'a>(&'a mut self, _: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let mut outcome = Outcome::default();
            let deadline = Instant::now() + load.lasts;
            loop {
                let begin = Instant::now();
                if begin >= deadline {
                    return Ok(Round::of(outcome));
                }
                let events = self.insert().await?;
                let end = Instant::now();
                outcome.latency.record(end - begin);
                outcome.done += events;
                outcome.in_time += if end <= deadline { events } else { 0 };
            }
        }
        .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let options = stage.product.setting("DATABASE_URL")?.parse::<PgConnectOptions>()?.database(DATABASE);
            let mut connection = PgConnection::connect_with(&options).await?;
            let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&mut connection).await?;
            connection.close().await?;
            let written = self.position.cast_unsigned();
            Ok(vec![Check::equal("journal-limit: rows", written, rows.cast_unsigned())])
        }
        .boxed()
    }
}
