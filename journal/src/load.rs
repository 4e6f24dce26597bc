//! The read side: an aggregate's state from its snapshot and the events after it; where there are few, by way of postgres-es.

use std::collections::HashMap;

use aggregates::{AggregateType, Decide, Upcasters};
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use postgres_es::PostgresEventRepository;
use serde_json::Value;
use sqlx::{PgPool, Row as _, types::Json};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{READ_EVENTS_MAX, ReadError, Sequence};

/// An aggregate's state as it is stored, or as it is about to be.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// Sequence of the last event in it; 0 where there is none.
    pub sequence: Sequence,
    /// Sequence of the last event in the snapshot it was loaded from; 0 where there was none.
    pub snapshot: Sequence,
}

/// Only concerts grow without bound; the others have a handful of events.
pub(crate) const fn has_snapshots(aggregate: AggregateType) -> bool {
    match aggregate {
        AggregateType::Concert => true,
        AggregateType::User | AggregateType::Booking | AggregateType::Payment => false,
    }
}

/// The snapshot of an aggregate, if there is one that can be read. It is read as what it is, without postgres-es, which makes
/// a tree of JSON values first, and aside: of a large concert it takes a tenth of a second in which nobody else would get on.
async fn snapshot<A: Decide>(pool: &PgPool, id: &str) -> Result<Option<(A, Sequence)>, ReadError> {
    let row = sqlx::query(
        "SELECT last_sequence, payload::text FROM snapshots WHERE aggregate_type = $1 AND aggregate_id = $2",
    )
    .bind(A::TYPE)
    .bind(id)
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let sequence: i64 = row.try_get(0)?;
    // Where it lies: a copy of it would be tens of megabytes more.
    let read = spawn_blocking(move || row.try_get::<&str, _>(1).map(serde_json::from_str::<A>));
    let state = read.await.map_err(|panicked| sqlx::Error::Decode(panicked.into()))?;
    match state? {
        Ok(state) => Ok(Some((state, Sequence(sequence.cast_unsigned())))),
        // A snapshot is derived: one of another version costs time, no more.
        Err(error) => {
            tracing::warn!(%error, aggregate = A::TYPE, id, "a snapshot is not readable; reading all events");
            Ok(None)
        }
    }
}

pub(crate) async fn load<A: Decide>(
    pool: &PgPool,
    repository: &PostgresEventRepository,
    upcasters: &Upcasters,
    id: Uuid,
) -> Result<Loaded<A>, ReadError> {
    if has_snapshots(A::KIND) {
        return load_large(pool, upcasters, id).await;
    }
    let (mut state, mut sequence) = (A::default(), Sequence(0));
    for stored in repository.get_events::<A>(&id.to_string()).await? {
        sequence = Sequence(stored.sequence as u64);
        state.apply(decode::<A>(upcasters, stored)?);
    }
    Ok(Loaded { state, sequence, snapshot: Sequence(0) })
}

/// From its snapshot and the events after it, some at a time: without a snapshot they can be millions.
async fn load_large<A: Decide>(pool: &PgPool, upcasters: &Upcasters, id: Uuid) -> Result<Loaded<A>, ReadError> {
    let stored = snapshot::<A>(pool, &id.to_string()).await?;
    let (mut state, snapshot) = stored.unwrap_or_else(|| (A::default(), Sequence(0)));
    let mut sequence = snapshot;
    loop {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT aggregate_id, sequence, event_type, event_version, payload FROM events
             WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4",
        )
        .bind(A::TYPE)
        .bind(id.to_string())
        .bind(sequence.to_sql())
        .bind(i64::try_from(READ_EVENTS_MAX).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await?;
        let is_last = rows.len() < READ_EVENTS_MAX;
        for row in rows {
            let stored = serialized::<A>(row);
            sequence = Sequence(stored.sequence as u64);
            state.apply(decode::<A>(upcasters, stored)?);
        }
        if is_last {
            return Ok(Loaded { state, sequence, snapshot });
        }
    }
}

/// An event's aggregate, sequence, type, version and payload.
type Row = (String, i64, String, String, Json<Value>);

fn serialized<A: Decide>((id, sequence, event_type, event_version, Json(payload)): Row) -> SerializedEvent {
    let sequence = usize::try_from(sequence).unwrap_or_default();
    SerializedEvent::new(id, sequence, A::TYPE.to_owned(), event_type, event_version, payload, Value::Null)
}

/// The states of many aggregates, in one query; one that has no events is not among them.
pub(crate) async fn load_many<A: Decide>(
    pool: &PgPool,
    upcasters: &Upcasters,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Loaded<A>>, ReadError> {
    debug_assert!(!has_snapshots(A::KIND), "what has snapshots is loaded by itself");
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT aggregate_id, sequence, event_type, event_version, payload FROM events
         WHERE aggregate_type = $1 AND aggregate_id = ANY($2) ORDER BY aggregate_id, sequence",
    )
    .bind(A::TYPE)
    .bind(ids.iter().map(Uuid::to_string).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    let mut loaded = HashMap::with_capacity(ids.len());
    for row in rows {
        let stored = serialized::<A>(row);
        let key: Uuid = stored.aggregate_id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let sequence = Sequence(stored.sequence as u64);
        let known =
            loaded.entry(key).or_insert_with(|| Loaded { state: A::default(), sequence, snapshot: Sequence(0) });
        known.state.apply(decode::<A>(upcasters, stored)?);
        known.sequence = sequence;
    }
    Ok(loaded)
}

/// A stored event, upcast, as an event of `A`.
pub(crate) fn decode<A: Decide>(upcasters: &Upcasters, stored: SerializedEvent) -> Result<A::Event, ReadError> {
    let (event_type, event_version) = (stored.event_type.clone(), stored.event_version.clone());
    upcasters.read_value(stored).map_err(|source| {
        ReadError::Decode(aggregates::DecodeError::Payload { aggregate: A::KIND, event_type, event_version, source })
    })
}
