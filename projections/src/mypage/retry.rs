//! Trying parked events again, in order, with what waited behind them.

use std::{path::Path, sync::Arc};

use aggregates::{AggregateType, BookingId, PaymentId, Upcasters, UserId};
use journal::{Position, RecordedEvent, Sequence, read_stream};
use parking_lot::Mutex;
use rusqlite::Connection;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    file,
    fold::Changes,
    parking,
    rebuild::rollback,
    table::{self, LIVE},
    writer::{blocking, read_checkpoint},
};
use crate::{Error, Parked, Retried, wanted};

/// Events read at once of a booking, a payment or a person, which never have as many.
const READ_EVENTS_MAX: usize = 4_096;

type Shared = Arc<Mutex<Connection>>;

/// Tries every parked event of the file at `path` again, each row in a transaction of its own, beside the process whose
/// file it is. `log` is the journal's database.
pub async fn retry(path: impl AsRef<Path>, log: &PgPool) -> Result<Vec<Retried>, Error> {
    let path = path.as_ref().to_owned();
    let (connection, parked) = blocking(move || {
        let connection = file::open_beside(&path)?;
        let parked = parking::all(&connection)?;
        Ok((Arc::new(Mutex::new(connection)), parked))
    })
    .await?;
    let mut retried = Vec::new();
    for (row, was) in parked {
        retried.push(retry_one(&connection, log, row, was).await?);
    }
    Ok(retried)
}

async fn on<T: Send + 'static>(
    connection: &Shared,
    work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let connection = Arc::clone(connection);
    blocking(move || work(&connection.lock())).await
}

async fn retry_one(connection: &Shared, log: &PgPool, row: Uuid, was: Parked) -> Result<Retried, Error> {
    // The writer waits until this is through, so that nothing of the row comes in between.
    let live = on(connection, |connection| {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(read_checkpoint(connection)?.position)
    })
    .await?;
    let done = async {
        let events = waiting(log, row, &was, live).await?;
        let erased = erased(log, &events, live).await?;
        on(connection, move |connection| {
            let retried = apply(connection, row, was, &events, &erased)?;
            connection.execute_batch("COMMIT")?;
            Ok(retried)
        })
        .await
    };
    let done = done.await;
    if done.is_err() {
        on(connection, rollback).await?;
    }
    done
}

/// The parked event and what waits behind it, in order.
async fn waiting(log: &PgPool, row: Uuid, was: &Parked, live: Position) -> Result<Vec<RecordedEvent>, Error> {
    let streams = match was.aggregate {
        AggregateType::User => vec![(AggregateType::User, row)],
        AggregateType::Payment if row == was.aggregate_id => vec![(AggregateType::Payment, row)],
        AggregateType::Booking | AggregateType::Payment | AggregateType::Concert => {
            vec![(AggregateType::Booking, row), (AggregateType::Payment, PaymentId::of(BookingId(row)).0)]
        }
    };
    let mut events = Vec::new();
    for (aggregate, id) in streams {
        events.extend(read_stream(log, aggregate, id, Sequence(0), READ_EVENTS_MAX).await?);
    }
    events.retain(|event| {
        (was.position..=live).contains(&event.position) && wanted::BY_MYPAGE.has(event.aggregate, &event.event_type)
    });
    events.sort_by_key(|event| event.position);
    Ok(events)
}

/// Those of the users in `events` who are erased by now: nothing of them may come back.
async fn erased(log: &PgPool, events: &[RecordedEvent], live: Position) -> Result<Vec<UserId>, Error> {
    let mut changes = Changes::default();
    for event in events {
        if let Ok(decoded) = event.decode(&Upcasters::current()) {
            changes.add(&decoded, event.position, event.recorded_at);
        }
    }
    let users: Vec<String> = changes.new.values().map(|(history, _)| history.user_id.to_string()).collect();
    let erased: Vec<String> = sqlx::query_scalar(
        "SELECT aggregate_id FROM events
         WHERE aggregate_type = 'user' AND aggregate_id = ANY($1) AND event_type = 'UserErased' AND position <= $2",
    )
    .bind(users)
    .bind(live.to_sql())
    .fetch_all(log)
    .await?;
    Ok(erased.iter().filter_map(|id| id.parse().ok()).map(UserId).collect())
}

fn apply(
    connection: &Connection,
    row: Uuid,
    was: Parked,
    events: &[RecordedEvent],
    erased: &[UserId],
) -> Result<Retried, Error> {
    let mut changes = Changes::default();
    let mut applied = 0;
    let mut left = None;
    for (nth, event) in events.iter().enumerate() {
        match event.decode(&Upcasters::current()) {
            Ok(decoded) => {
                changes.add(&decoded, event.position, event.recorded_at);
                applied += 1;
            }
            Err(error) => {
                let behind = (events.len() - nth - 1) as u64;
                left = Some(parked_again(&was, event, error.to_string(), behind));
                break;
            }
        }
    }
    changes.new.retain(|_, (history, _)| !erased.contains(&history.user_id));
    table::write(connection, LIVE, &changes)?;
    match &left {
        Some(left) => parking::put(connection, row, left)?,
        None => parking::forget(connection, row)?,
    }
    Ok(Retried { was, left, applied })
}

fn parked_again(was: &Parked, event: &RecordedEvent, error: String, waiting: u64) -> Parked {
    Parked {
        position: event.position,
        aggregate: event.aggregate,
        aggregate_id: event.aggregate_id,
        event_type: event.event_type.to_string(),
        error,
        attempts: if event.position == was.position { was.attempts + 1 } else { 1 },
        waiting,
        parked_at: was.parked_at,
    }
}
