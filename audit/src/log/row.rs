//! One row of the log, borrowed from the message that brought it.

use aggregates::AggregateType;
use chrono::{DateTime, Utc};
use journal::{Position, RecordedEvent, Sequence};
use uuid::Uuid;

use crate::Error;

/// The columns, in the order in which [`Row::parse`] reads them.
pub(crate) const COLUMNS: &str = "position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, \
                                  event_version, payload, metadata";
const FIELDS: i16 = 9;
/// What a binary COPY begins with, before flags and the length of its extension (of which there is none).
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const HEADER_BYTES: usize = SIGNATURE.len() + 4 + 4;
/// Postgres counts microseconds from 2000, everybody else from 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A row of `events`: every column, payload and metadata as the stored text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Place in the log.
    pub position: Position,
    /// When it was committed, in microseconds since 1970.
    pub recorded_micros: i64,
    /// Kind of its aggregate.
    pub aggregate_type: &'a str,
    /// Its aggregate.
    pub aggregate_id: &'a str,
    /// Place in its aggregate's stream.
    pub sequence: Sequence,
    /// Its name.
    pub event_type: &'a str,
    /// The version in which it was written.
    pub event_version: &'a str,
    /// The event, as JSON text.
    pub payload: &'a str,
    /// Who, why and in what unit, as JSON text.
    pub metadata: &'a str,
}

impl<'a> Row<'a> {
    /// Reads one message of a binary COPY of [`COLUMNS`]: Postgres sends each row as one, the first with the header in
    /// front. `None` is the end.
    pub(crate) fn parse(message: &'a [u8]) -> Result<Option<Self>, Error> {
        let message = match message.strip_prefix(SIGNATURE) {
            Some(_) => message.get(HEADER_BYTES..).ok_or(Error::Copy("its header is cut off"))?,
            None => message,
        };
        let mut fields = Fields(message);
        match i16::from_be_bytes(fields.array()?) {
            -1 => return Ok(None),
            FIELDS => {}
            _ => return Err(Error::Copy("a row has another number of columns")),
        }
        let row = Self {
            position: Position::from_sql(fields.number()?),
            recorded_micros: fields.number()?.saturating_add(EPOCH_MICROS),
            aggregate_type: fields.text()?,
            aggregate_id: fields.text()?,
            sequence: Sequence::from_sql(fields.number()?),
            event_type: fields.text()?,
            event_version: fields.text()?,
            payload: fields.text()?,
            metadata: fields.text()?,
        };
        if fields.0.is_empty() { Ok(Some(row)) } else { Err(Error::Copy("a message holds more than a row")) }
    }

    /// When it was committed; `None` where that is no time that can be told.
    pub fn recorded_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.recorded_micros)
    }

    /// Its aggregate, where there is such a kind and the id is written as we write ids.
    pub fn aggregate(&self) -> Option<(AggregateType, Uuid)> {
        Some((self.aggregate_type.parse().ok()?, canonical(self.aggregate_id)?))
    }

    /// The same with its own memory; `None` where it is no row of ours.
    pub fn to_recorded(&self) -> Option<RecordedEvent> {
        let (aggregate, aggregate_id) = self.aggregate()?;
        Some(RecordedEvent {
            position: self.position,
            recorded_at: self.recorded_at()?,
            aggregate,
            aggregate_id,
            sequence: self.sequence,
            event_type: self.event_type.into(),
            event_version: self.event_version.into(),
            payload: self.payload.into(),
            metadata: self.metadata.into(),
        })
    }
}

/// An id in the one way in which we write it: another way would be another aggregate to Postgres.
fn canonical(id: &str) -> Option<Uuid> {
    let is_canonical = id.len() == 36 && !id.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_canonical { Uuid::try_parse(id).ok() } else { None }
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Error::Copy("a row is cut off"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = i32::from_be_bytes(self.array()?);
        let length = usize::try_from(length).map_err(|_| Error::Copy("a column that cannot be NULL is"))?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Error::Copy("a column is cut off"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<i64, Error> {
        let bytes = self.bytes()?.try_into().map_err(|_| Error::Copy("a number is not of eight bytes"))?;
        Ok(i64::from_be_bytes(bytes))
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::Copy("a text is not UTF-8"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn message(position: i64) -> Vec<u8> {
        let mut message = FIELDS.to_be_bytes().to_vec();
        let mut field = |bytes: &[u8]| {
            message.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
            message.extend(bytes);
        };
        field(&position.to_be_bytes());
        field(&(-EPOCH_MICROS).to_be_bytes());
        for text in ["booking", "0192a5b7-c007-7000-8000-64656d6f0001"] {
            field(text.as_bytes());
        }
        field(&1_i64.to_be_bytes());
        for text in ["BookingExpired", "1.0", "{\"a\": \"예\"}", "{}"] {
            field(text.as_bytes());
        }
        message
    }

    #[test]
    fn a_row_is_read_with_and_without_the_header() {
        let plain = message(7);
        let row = Row::parse(&plain).unwrap().unwrap();
        assert_eq!((row.position, row.recorded_micros, row.payload), (Position(7), 0, "{\"a\": \"예\"}"));
        let (kind, id) = row.aggregate().unwrap();
        assert_eq!((kind, id.to_string().as_str()), (AggregateType::Booking, row.aggregate_id));
        let first = [SIGNATURE.as_slice(), &[0; 8], &plain].concat();
        assert_eq!(Row::parse(&first).unwrap().unwrap(), row);
        assert!(Row::parse(&(-1_i16).to_be_bytes()).unwrap().is_none());
    }

    #[test]
    fn what_is_no_row_is_an_error() {
        let plain = message(7);
        for cut in 0..plain.len() {
            assert!(Row::parse(&plain[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Row::parse(&[plain.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn an_id_is_written_in_one_way() {
        assert!(canonical("0192a5b7-c007-7000-8000-64656d6f0001").is_some());
        for other in ["0192A5B7-c007-7000-8000-64656d6f0001", "0192a5b7c00770008000064656d6f0001", "", "x"] {
            assert!(canonical(other).is_none(), "{other}");
        }
    }
}
