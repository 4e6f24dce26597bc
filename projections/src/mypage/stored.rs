//! The histories as they are stored, for whoever compares them with the log.

use std::{collections::HashMap, path::Path};

use aggregates::PaymentId;
use journal::{Position, RecordedEvent};
use rusqlite::Connection;
use uuid::Uuid;

use super::{BookingHistory, file, parking, readers::from_row, writer::read_checkpoint};
use crate::{Anchor, Checkpoint, Error, Parked};

const ALL: &str = "SELECT id, booking_id, concert_id, user_id, status, qty, amount, currency, payment_id, \
                   requested_at, updated_at, position FROM histories";
/// Of `from_row`'s columns, the one behind the last.
const POSITION: usize = 11;

/// The file as it was when it was opened: what is written meanwhile is not seen.
pub struct StoredHistories {
    connection: Connection,
    checkpoint: Checkpoint,
    parked: HashMap<Uuid, Parked>,
}

impl StoredHistories {
    /// Opens a file that is there; never makes one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = file::open_read_only(path)?;
        connection.execute_batch("BEGIN")?;
        let checkpoint = read_checkpoint(&connection)?;
        // A file that was never opened by a version that parks has no table of it.
        let parks: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'parked')",
            [],
            |row| row.get(0),
        )?;
        let parked = if parks { parking::all(&connection)? } else { Vec::new() };
        Ok(Self { connection, checkpoint, parked: parked.into_iter().collect() })
    }

    /// Up to which position the histories were made.
    pub const fn position(&self) -> Position {
        self.checkpoint.position
    }

    /// What could not be projected.
    pub fn parked(&self) -> impl Iterator<Item = &Parked> {
        self.parked.values()
    }

    /// Whether something of this row waits behind what could not be projected: then it is not of the checkpoint, but of right
    /// before that.
    pub fn waits(&self, history: &BookingHistory) -> bool {
        let BookingHistory { booking_id, user_id, .. } = history;
        let rows = [booking_id.0, user_id.0, PaymentId::of(*booking_id).0];
        !self.parked.is_empty() && rows.iter().any(|row| self.parked.contains_key(row))
    }

    /// Whether they were made from a log that has this event at their position.
    pub fn is_made_from(&self, event: &RecordedEvent) -> bool {
        self.checkpoint.anchor.as_ref().is_none_or(|anchor| *anchor == Anchor::of(event))
    }

    /// Every row, with the position of the event that changed it last. A row that is not readable is an error of its own.
    pub fn for_each(&self, mut each: impl FnMut(Result<(BookingHistory, Position), Error>)) -> Result<(), Error> {
        let mut statement = self.connection.prepare(ALL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(from_row(row).and_then(|history| Ok((history, Position::from_sql(row.get(POSITION)?)))));
        }
        Ok(())
    }
}
