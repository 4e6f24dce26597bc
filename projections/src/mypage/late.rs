//! While a copy is loaded it has no index to find a row by: what happens to rows of earlier segments is noted, and done
//! once there is one.

use std::collections::{HashMap, HashSet};

use aggregates::{BookingId, UserId};
use journal::Position;
use rusqlite::{Connection, params, types::ToSqlOutput};

use super::fold::Change;
use crate::{Error, currency};

/// Noted changes applied in one transaction: the live copy's writer waits meanwhile.
const APPLIED_MAX: i64 = 50_000;

/// Makes the tables of notes for the copy in `table`.
pub(super) fn create(connection: &Connection, table: &str) -> Result<(), Error> {
    connection.execute_batch(&format!(
        "CREATE TABLE {table}_late (
             id INTEGER PRIMARY KEY, booking_id BLOB NOT NULL, status TEXT NOT NULL, amount INTEGER, currency TEXT,
             payment_id BLOB, updated_at INTEGER NOT NULL, position INTEGER NOT NULL
         ) STRICT;
         CREATE TABLE {table}_erased (user_id BLOB NOT NULL, up_to INTEGER NOT NULL) STRICT;"
    ))?;
    Ok(())
}

/// Drops them.
pub(super) fn drop(connection: &Connection, table: &str) -> Result<(), Error> {
    connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}_late; DROP TABLE IF EXISTS {table}_erased;"))?;
    Ok(())
}

/// Notes what a segment that begins after `from` does to earlier rows.
pub(super) fn add(
    connection: &Connection,
    table: &str,
    from: Position,
    changed: &HashMap<BookingId, Change>,
    erased: &HashSet<UserId>,
) -> Result<(), Error> {
    let mut note = connection.prepare_cached(&format!(
        "INSERT INTO {table}_late (booking_id, status, amount, currency, payment_id, updated_at, position)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    ))?;
    for (booking, change) in changed {
        let money = change.payment.map(|(_, money)| money);
        note.execute(params![
            booking.0.as_bytes(),
            change.status.as_str(),
            money.map(|money| money.amount.cast_signed()),
            money.map(|money| currency::code(money.currency)),
            change.payment.as_ref().map(|(id, _)| id.0.as_bytes()),
            change.updated_at.timestamp_micros(),
            change.position.to_sql(),
        ])?;
    }
    let mut note =
        connection.prepare_cached(&format!("INSERT INTO {table}_erased (user_id, up_to) VALUES (?1, ?2)"))?;
    for user in erased {
        note.execute(params![user.0.as_bytes(), from.to_sql()])?;
    }
    Ok(())
}

/// Applies some of the noted changes, in order; whether there may be more. Needs the index of bookings.
pub(super) fn apply_some(connection: &Connection, table: &str) -> Result<bool, Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let last: Option<i64> = connection.query_row(
        &format!("SELECT max(id) FROM (SELECT id FROM {table}_late ORDER BY id LIMIT {APPLIED_MAX})"),
        [],
        |row| row.get(0),
    )?;
    if let Some(last) = last {
        apply_up_to(connection, table, last)?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(last.is_some())
}

fn apply_up_to(connection: &Connection, table: &str, last: i64) -> Result<(), Error> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT booking_id, status, amount, currency, payment_id, updated_at, position FROM {table}_late
         WHERE id <= ?1 ORDER BY id"
    ))?;
    let mut update = connection.prepare_cached(&format!(
        "UPDATE {table} SET status = ?2, amount = coalesce(?3, amount), currency = coalesce(?4, currency),
                payment_id = coalesce(?5, payment_id), updated_at = ?6, position = ?7
         WHERE booking_id = ?1"
    ))?;
    let mut notes = select.query([last])?;
    while let Some(note) = notes.next()? {
        update.execute(params![
            ToSqlOutput::Borrowed(note.get_ref(0)?),
            ToSqlOutput::Borrowed(note.get_ref(1)?),
            ToSqlOutput::Borrowed(note.get_ref(2)?),
            ToSqlOutput::Borrowed(note.get_ref(3)?),
            ToSqlOutput::Borrowed(note.get_ref(4)?),
            ToSqlOutput::Borrowed(note.get_ref(5)?),
            ToSqlOutput::Borrowed(note.get_ref(6)?),
        ])?;
    }
    connection.execute(&format!("DELETE FROM {table}_late WHERE id <= ?1"), [last])?;
    Ok(())
}

/// Takes out the rows of people who were erased, and drops the notes. Needs the index of users.
pub(super) fn finish(connection: &Connection, table: &str) -> Result<(), Error> {
    let erased: Vec<(Vec<u8>, i64)> = {
        let mut select = connection.prepare(&format!("SELECT user_id, up_to FROM {table}_erased"))?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut delete = connection.prepare(&format!("DELETE FROM {table} WHERE user_id = ?1 AND id <= ?2"))?;
    for (user, up_to) in erased {
        delete.execute(params![user, up_to])?;
    }
    std::mem::drop(delete);
    drop(connection, table)
}
