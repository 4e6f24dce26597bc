//! A few connections that only read.

use std::{path::Path, sync::Arc};

use aggregates::{BookingId, ConcertId, Money, PaymentId, Qty, UserId};
use chrono::{DateTime, Utc};
use journal::Position;
use parking_lot::Mutex;
use rusqlite::{Connection, Row, params};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{BookingHistory, file, writer::blocking};
use crate::{Error, currency};

/// Histories read at the same time, at most; further readers wait.
pub const READERS_MAX: usize = 4;
/// Histories on one page, at most; more are not read but cut off.
pub const HISTORIES_LIMIT_MAX: usize = 200;
/// Up to this many histories are read right where they are asked for: that takes some ten microseconds, less than
/// waking another thread. More are read on a thread that may wait.
const READ_IN_PLACE_MAX: usize = 50;

const OF_USER: &str = "SELECT id, booking_id, concert_id, user_id, status, qty, amount, currency, payment_id, \
                       requested_at, updated_at FROM histories WHERE user_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
const OF_ALL: &str = "SELECT id, booking_id, concert_id, user_id, status, qty, amount, currency, payment_id, \
                      requested_at, updated_at FROM histories WHERE id < ?1 ORDER BY id DESC LIMIT ?2";

/// Connections waiting for readers.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let idle = (0..READERS_MAX).map(|_| file::open_read_only(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Self { idle: Mutex::new(idle), permits: Arc::new(Semaphore::new(READERS_MAX)) }))
    }

    pub async fn histories(
        self: &Arc<Self>,
        user: Option<UserId>,
        limit: usize,
        before: Option<Position>,
    ) -> Result<Vec<BookingHistory>, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Closed)?;
        let readers = Arc::clone(self);
        // Once begun it ends, and the connection comes back, even if the caller does not wait for the answer.
        let work = move || {
            let connection = readers.idle.lock().pop().ok_or(Error::Closed)?;
            let histories = read(&connection, user, limit.min(HISTORIES_LIMIT_MAX), before);
            readers.idle.lock().push(connection);
            drop(permit);
            histories
        };
        if limit <= READ_IN_PLACE_MAX { work() } else { blocking(work).await }
    }
}

fn read(
    connection: &Connection,
    user: Option<UserId>,
    limit: usize,
    before: Option<Position>,
) -> Result<Vec<BookingHistory>, Error> {
    let before = before.map_or(i64::MAX, |position| i64::try_from(position.0).unwrap_or(i64::MAX));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(if user.is_some() { OF_USER } else { OF_ALL })?;
    let mut rows = match user {
        Some(user) => statement.query(params![user.0.as_bytes(), before, limit])?,
        None => statement.query(params![before, limit])?,
    };
    let mut histories = Vec::new();
    while let Some(row) = rows.next()? {
        histories.push(from_row(row)?);
    }
    Ok(histories)
}

pub(super) fn from_row(row: &Row<'_>) -> Result<BookingHistory, Error> {
    let id = |index: usize| row.get(index).map(Uuid::from_bytes);
    let time = |index: usize, column: &'static str| {
        let micros: i64 = row.get(index)?;
        DateTime::<Utc>::from_timestamp_micros(micros).ok_or(Error::Row { column })
    };
    let amount = match (row.get::<_, Option<i64>>(6)?, row.get_ref(7)?.as_str_or_null().map_err(rusqlite::Error::from)?)
    {
        (Some(amount), Some(code)) => Some(Money {
            amount: amount.cast_unsigned(),
            currency: currency::parse(code).ok_or(Error::Row { column: "currency" })?,
        }),
        (Some(_), None) | (None, _) => None,
    };
    Ok(BookingHistory {
        id: Position::from_sql(row.get(0)?),
        booking_id: BookingId(id(1)?),
        concert_id: ConcertId(id(2)?),
        user_id: UserId(id(3)?),
        status: row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?.parse()?,
        qty: Qty::new(row.get(5)?).map_err(|_| Error::Row { column: "qty" })?,
        amount,
        payment_id: row.get::<_, Option<[u8; 16]>>(8)?.map(|id| PaymentId(Uuid::from_bytes(id))),
        requested_at: time(9, "requested_at")?,
        updated_at: time(10, "updated_at")?,
    })
}
