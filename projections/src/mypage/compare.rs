//! Two copies of the histories, side by side.

use rusqlite::{Connection, Row, types::ValueRef};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    Error,
    rebuild::{Difference, Differences, differing},
};

/// The first is what both are ordered by.
const COLUMNS: [&str; 12] = [
    "id",
    "booking_id",
    "concert_id",
    "user_id",
    "status",
    "qty",
    "amount",
    "currency",
    "payment_id",
    "requested_at",
    "updated_at",
    "position",
];
/// Which of them is shown as the row's name.
const BOOKING: &str = "booking_id";

/// In what the copies in the tables `live` and `new` differ, and how many rows `new` has. One pass over both.
pub(super) fn compare(connection: &Connection, live: &str, new: &str) -> Result<(Differences, u64), Error> {
    let select = |table: &str| format!("SELECT {} FROM {table} ORDER BY id", COLUMNS.join(", "));
    let (mut of_live, mut of_new) = (connection.prepare(&select(live))?, connection.prepare(&select(new))?);
    let (mut of_live, mut of_new) = (of_live.query([])?, of_new.query([])?);
    let (mut live, mut new) = (of_live.next()?, of_new.next()?);
    let (mut differences, mut rows) = (Differences::default(), 0);
    loop {
        let id = |row: Option<&Row<'_>>| row.map(|row| row.get::<_, i64>(0)).transpose();
        let (live_id, new_id) = (id(live)?, id(new)?);
        let (has_live, has_new) = match (live_id, new_id) {
            (None, None) => return Ok((differences, rows)),
            (Some(live), Some(new)) => (live <= new, new <= live),
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
        };
        let (one, other) = (live.filter(|_| has_live), new.filter(|_| has_new));
        if !is_same(one, other)? {
            let (one, other) = (one.map(shown).transpose()?, other.map(shown).transpose()?);
            differences.add(|| {
                let named = other.as_ref().or(one.as_ref()).and_then(|row| row.get(BOOKING)?.as_str());
                let row = format!("booking {}", named.unwrap_or_default());
                Difference { row, fields: differing(one.as_ref(), other.as_ref()) }
            });
        }
        if has_new {
            rows += 1;
            new = of_new.next()?;
        }
        if has_live {
            live = of_live.next()?;
        }
    }
}

fn is_same(one: Option<&Row<'_>>, other: Option<&Row<'_>>) -> Result<bool, Error> {
    let (Some(one), Some(other)) = (one, other) else { return Ok(false) };
    for column in 0..COLUMNS.len() {
        if one.get_ref(column)? != other.get_ref(column)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn shown(row: &Row<'_>) -> Result<Map<String, Value>, Error> {
    let mut shown = Map::new();
    for (nth, column) in COLUMNS.into_iter().enumerate() {
        let value = match row.get_ref(nth)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).map(|id| id.to_string()).unwrap_or_default().into(),
        };
        shown.insert(column.to_owned(), value);
    }
    Ok(shown)
}
