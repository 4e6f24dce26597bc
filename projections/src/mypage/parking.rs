//! Parked events of the histories, in their file.

use std::collections::{HashMap, HashSet};

use aggregates::{AggregateType, BookingEvent, DecodeError, Event, PaymentEvent, UserEvent};
use chrono::{DateTime, Utc};
use journal::{Position, RecordedEvent};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{fold::Changes, table::LIVE};
use crate::{Batch, Error, PARKED_MAX, Parked};

/// Which row an event changes: that of a booking, or all of a user's.
pub(super) fn row_of(event: &Event) -> Option<Uuid> {
    match event {
        Event::Booking(event) => Some(match event {
            BookingEvent::BookingRequested { booking_id, .. }
            | BookingEvent::BookingApproved { booking_id, .. }
            | BookingEvent::BookingRejected { booking_id, .. }
            | BookingEvent::BookingCanceled { booking_id, .. }
            | BookingEvent::BookingExpired { booking_id, .. } => booking_id.0,
        }),
        Event::Payment(event) => Some(match event {
            PaymentEvent::PaymentRequested { booking_id, .. }
            | PaymentEvent::PaymentAttempted { booking_id, .. }
            | PaymentEvent::PaymentDeclined { booking_id, .. }
            | PaymentEvent::PaymentAttemptAbandoned { booking_id, .. }
            | PaymentEvent::PaymentPutOff { booking_id, .. }
            | PaymentEvent::PaymentApproved { booking_id, .. }
            | PaymentEvent::PaymentCancelRequested { booking_id, .. }
            | PaymentEvent::PaymentCanceled { booking_id, .. } => booking_id.0,
        }),
        Event::User(UserEvent::UserRegistered { user_id, .. } | UserEvent::UserErased { user_id }) => Some(user_id.0),
        Event::Concert(_) => None,
    }
}

/// What of a batch is applied, and what is put aside.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub changes: Changes,
    /// By row, for the first time.
    pub new: HashMap<Uuid, Parked>,
    /// By row: how many more wait.
    pub waiting: HashMap<Uuid, u64>,
}

/// Sorts `batch`, given what is parked in the file.
pub(super) fn sort(connection: &Connection, batch: &Batch) -> Result<Sorted, Error> {
    let known = rows(connection)?;
    let mut sorted = Sorted::default();
    for entry in batch.entries() {
        let recorded = &entry.recorded;
        let row = match &entry.event {
            Ok(event) => row_of(event),
            Err(_) => Some(guess_row(connection, &sorted.changes, recorded)?),
        };
        // A payment whose booking nobody could tell waits under its own id.
        let is_parked = |id: &Uuid| known.contains(id) || sorted.new.contains_key(id);
        if let Some(row) = [row, Some(recorded.aggregate_id)].into_iter().flatten().find(is_parked) {
            match sorted.new.get_mut(&row) {
                Some(parked) => parked.waiting += 1,
                None => *sorted.waiting.entry(row).or_default() += 1,
            }
            continue;
        }
        match (&entry.event, row) {
            (Ok(event), _) => sorted.changes.add(event, recorded.position, recorded.recorded_at),
            (Err(reason), Some(row)) if known.len() + sorted.new.len() < PARKED_MAX => {
                sorted.new.insert(row, parked(recorded, reason));
            }
            (Err(reason), _) => {
                return Err(Error::TooManyParked {
                    position: recorded.position,
                    aggregate: recorded.aggregate,
                    aggregate_id: recorded.aggregate_id,
                    reason: reason.clone(),
                });
            }
        }
    }
    Ok(sorted)
}

fn parked(recorded: &RecordedEvent, reason: &str) -> Parked {
    Parked {
        position: recorded.position,
        aggregate: recorded.aggregate,
        aggregate_id: recorded.aggregate_id,
        event_type: recorded.event_type.to_string(),
        error: reason.to_owned(),
        attempts: 1,
        waiting: 0,
        parked_at: Utc::now(),
    }
}

/// The row of an event that does not decode: of a payment, by what can be read of it all the same, or by what is known of
/// the payment.
fn guess_row(connection: &Connection, changes: &Changes, recorded: &RecordedEvent) -> Result<Uuid, Error> {
    let id = recorded.aggregate_id;
    match recorded.aggregate {
        AggregateType::Booking | AggregateType::User | AggregateType::Concert => return Ok(id),
        AggregateType::Payment => {}
    }
    let payload: serde_json::Value = serde_json::from_str(&recorded.payload).unwrap_or_default();
    let named = payload.as_object().and_then(|event| event.values().next()?.get("bookingId")?.as_str()?.parse().ok());
    if let Some(booking) = named.or_else(|| changes.booking_paid_by(id)) {
        return Ok(booking);
    }
    // No index has payments, and none needs to: this is as rare as it should be.
    let stored: Option<[u8; 16]> = connection
        .query_row(&format!("SELECT booking_id FROM {LIVE} WHERE payment_id = ?1"), [id.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(stored.map_or(id, Uuid::from_bytes))
}

fn rows(connection: &Connection) -> Result<HashSet<Uuid>, Error> {
    let mut select = connection.prepare_cached("SELECT row_id FROM parked")?;
    let rows = select.query_map([], |row| row.get(0).map(Uuid::from_bytes))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All that is parked, by position, each with the row it is of.
pub(super) fn all(connection: &Connection) -> Result<Vec<(Uuid, Parked)>, Error> {
    let mut select = connection.prepare(
        "SELECT row_id, aggregate_type, aggregate_id, position, event_type, error, attempts, waiting, parked_at
         FROM parked ORDER BY position",
    )?;
    let mut rows = select.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push((Uuid::from_bytes(row.get(0)?), from_row(row)?));
    }
    Ok(all)
}

fn from_row(row: &Row<'_>) -> Result<Parked, Error> {
    let aggregate: String = row.get(1)?;
    let parked_at = DateTime::from_timestamp_micros(row.get(8)?).ok_or(Error::Row { column: "parked_at" })?;
    Ok(Parked {
        aggregate: aggregate.parse().map_err(|_: DecodeError| Error::Row { column: "aggregate_type" })?,
        aggregate_id: Uuid::from_bytes(row.get(2)?),
        position: Position::from_sql(row.get(3)?),
        event_type: row.get(4)?,
        error: row.get(5)?,
        attempts: row.get(6)?,
        waiting: row.get::<_, i64>(7)?.unsigned_abs(),
        parked_at,
    })
}

/// Writes what is parked anew, and who waits behind what was.
pub(super) fn write(connection: &Connection, sorted: &Sorted) -> Result<(), Error> {
    for (row, parked) in &sorted.new {
        put(connection, *row, parked)?;
    }
    for (row, waiting) in &sorted.waiting {
        connection
            .prepare_cached("UPDATE parked SET waiting = waiting + ?2 WHERE row_id = ?1")?
            .execute(params![row.as_bytes(), i64::try_from(*waiting).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

/// Writes one, over what was there of the same row.
pub(super) fn put(connection: &Connection, row: Uuid, parked: &Parked) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO parked (row_id, aggregate_type, aggregate_id, position, event_type, error, attempts,
                                            waiting, parked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            row.as_bytes(),
            parked.aggregate.as_str(),
            parked.aggregate_id.as_bytes(),
            parked.position.to_sql(),
            parked.event_type,
            parked.error,
            parked.attempts,
            i64::try_from(parked.waiting).unwrap_or(i64::MAX),
            parked.parked_at.timestamp_micros(),
        ])?;
    Ok(())
}

/// Takes one out.
pub(super) fn forget(connection: &Connection, row: Uuid) -> Result<(), Error> {
    connection.execute("DELETE FROM parked WHERE row_id = ?1", [row.as_bytes()])?;
    Ok(())
}
