//! The histories as rows of a table, of the live copy or of another.

use std::collections::{HashMap, HashSet};

use aggregates::{BookingId, UserId};
use journal::Position;
use rusqlite::{Connection, params};

use super::{
    BookingHistory,
    fold::{Change, Changes},
};
use crate::{Error, currency};

/// The live copy.
pub(super) const LIVE: &str = "histories";

const TABLE: &str = include_str!("histories.sql");

/// Makes the table, without the indexes.
pub(super) fn create(connection: &Connection, table: &str) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&TABLE.replace("{histories}", table))
}

/// Unique: later events of the booking and its payment find the row by it.
pub(super) fn index_bookings(connection: &Connection, table: &str) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!("CREATE UNIQUE INDEX IF NOT EXISTS {table}_booking ON {table} (booking_id)"))
}

/// A user's own, newest first (SQLite appends the primary key, id, to every index); and all of theirs, to erase them.
pub(super) fn index_users(connection: &Connection, table: &str) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!("CREATE INDEX IF NOT EXISTS {table}_user ON {table} (user_id)"))
}

/// Writes all of `changes`.
pub(super) fn write(connection: &Connection, table: &str, changes: &Changes) -> Result<(), Error> {
    forget(connection, table, &changes.erased)?;
    insert(connection, table, &changes.new)?;
    update(connection, table, changes.changed.iter())
}

fn forget(connection: &Connection, table: &str, users: &HashSet<UserId>) -> Result<(), Error> {
    if users.is_empty() {
        return Ok(());
    }
    let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} WHERE user_id = ?1"))?;
    for user in users {
        delete.execute([user.0.as_bytes()])?;
    }
    Ok(())
}

pub(super) fn insert(
    connection: &Connection,
    table: &str,
    histories: &HashMap<BookingId, (BookingHistory, Position)>,
) -> Result<(), Error> {
    if histories.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO {table} (id, booking_id, concert_id, user_id, status, qty, amount, currency, payment_id,
                              requested_at, updated_at, position)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    ))?;
    // In the order of the primary key, which SQLite appends to.
    let mut histories: Vec<_> = histories.values().collect();
    histories.sort_unstable_by_key(|(history, _)| history.id);
    for (history, position) in histories {
        insert.execute(params![
            history.id.to_sql(),
            history.booking_id.0.as_bytes(),
            history.concert_id.0.as_bytes(),
            history.user_id.0.as_bytes(),
            history.status.as_str(),
            history.qty.get(),
            history.amount.map(|money| money.amount.cast_signed()),
            history.amount.map(|money| currency::code(money.currency)),
            history.payment_id.as_ref().map(|id| id.0.as_bytes()),
            history.requested_at.timestamp_micros(),
            history.updated_at.timestamp_micros(),
            position.to_sql(),
        ])?;
    }
    Ok(())
}

/// Changes rows that are there, and that know nothing later.
pub(super) fn update<'a>(
    connection: &Connection,
    table: &str,
    changes: impl Iterator<Item = (&'a BookingId, &'a Change)>,
) -> Result<(), Error> {
    let mut update = connection.prepare_cached(&format!(
        "UPDATE {table} SET status = ?2, amount = coalesce(?3, amount), currency = coalesce(?4, currency),
                payment_id = coalesce(?5, payment_id), updated_at = ?6, position = ?7
         WHERE booking_id = ?1 AND position < ?7"
    ))?;
    for (booking, change) in changes {
        let money = change.payment.map(|(_, money)| money);
        update.execute(params![
            booking.0.as_bytes(),
            change.status.as_str(),
            money.map(|money| money.amount.cast_signed()),
            money.map(|money| currency::code(money.currency)),
            change.payment.as_ref().map(|(id, _)| id.0.as_bytes()),
            change.updated_at.timestamp_micros(),
            change.position.to_sql(),
        ])?;
    }
    Ok(())
}
