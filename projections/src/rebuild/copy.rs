//! Rows of `COPY … TO STDOUT (FORMAT binary)`: <https://www.postgresql.org/docs/current/sql-copy.html>.

use aggregates::AggregateType;
use chrono::{DateTime, Utc};
use journal::Position;
use uuid::Uuid;

use crate::Error;

/// What a copy begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Microseconds from 1970, our epoch, to 2000, that of Postgres.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The columns that [`Row`] is read from, in their order.
pub(super) const COLUMNS: &str =
    "position, recorded_at, aggregate_type, aggregate_id, event_type, event_version, payload";
const COLUMNS_COUNT: i16 = 7;

/// A row, borrowed from what the server sent.
#[derive(Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub position: Position,
    pub recorded_at: DateTime<Utc>,
    pub aggregate: AggregateType,
    pub aggregate_id: Uuid,
    pub event_type: &'a str,
    pub event_version: &'a str,
    pub payload: &'a str,
}

/// Reads a whole message of the copy; the first has the header before its rows, the last may have nothing but the end.
pub(super) fn rows<'a>(
    mut message: &'a [u8],
    is_first: bool,
    mut each: impl FnMut(Row<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    if is_first {
        message = message.strip_prefix(SIGNATURE).ok_or(Error::Copy("it does not begin as one"))?;
        take::<4>(&mut message)?;
        let extension = u32::from_be_bytes(take(&mut message)?);
        message = message.get(extension as usize..).ok_or(Error::Copy("its header is cut"))?;
    }
    while !message.is_empty() {
        match i16::from_be_bytes(take(&mut message)?) {
            // The end of it.
            -1 => return Ok(()),
            COLUMNS_COUNT => each(row(&mut message)?)?,
            _ => return Err(Error::Copy("a row has another number of columns")),
        }
    }
    Ok(())
}

fn row<'a>(rest: &mut &'a [u8]) -> Result<Row<'a>, Error> {
    let position = number(rest)?;
    let micros = number(rest)?.saturating_add(EPOCH_MICROS);
    Ok(Row {
        position: Position::from_sql(position),
        recorded_at: DateTime::from_timestamp_micros(micros).ok_or(Error::Copy("a time is none"))?,
        aggregate: text(rest)?.parse().map_err(|_| Error::Row { column: "aggregate_type" })?,
        aggregate_id: Uuid::try_parse(text(rest)?).map_err(|_| Error::Row { column: "aggregate_id" })?,
        event_type: text(rest)?,
        event_version: text(rest)?,
        payload: text(rest)?,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Error> {
    let (taken, left) = rest.split_first_chunk().ok_or(Error::Copy("a row is cut"))?;
    *rest = left;
    Ok(*taken)
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let length = i32::from_be_bytes(take(rest)?);
    let length = usize::try_from(length).map_err(|_| Error::Copy("a column is null"))?;
    let (field, left) = rest.split_at_checked(length).ok_or(Error::Copy("a row is cut"))?;
    *rest = left;
    Ok(field)
}

fn number(rest: &mut &[u8]) -> Result<i64, Error> {
    let bytes = field(rest)?.try_into().map_err(|_| Error::Copy("a number has another width"))?;
    Ok(i64::from_be_bytes(bytes))
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(field(rest)?).map_err(|_| Error::Copy("a text is not UTF-8"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn message() -> Vec<u8> {
        let mut message = [SIGNATURE, &[0; 8]].concat();
        message.extend(COLUMNS_COUNT.to_be_bytes());
        let id = Uuid::from_u128(7).to_string();
        let fields: [&[u8]; 7] =
            [&5_i64.to_be_bytes(), &1_i64.to_be_bytes(), b"concert", id.as_bytes(), b"TicketsHeld", b"1", b"{}"];
        for field in fields {
            message.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            message.extend(field);
        }
        message.extend((-1_i16).to_be_bytes());
        message
    }

    #[test]
    fn a_row_is_read_and_one_that_is_cut_is_an_error() {
        let message = message();
        let mut seen = 0;
        rows(&message, true, |row| {
            seen += 1;
            assert_eq!((row.position, row.aggregate, row.payload), (Position(5), AggregateType::Concert, "{}"));
            assert_eq!(row.recorded_at.to_rfc3339(), "2000-01-01T00:00:00.000001+00:00");
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 1);
        for cut in 1..message.len() - 2 {
            let is_whole = rows(&message[..cut], true, |_| Ok(())).is_ok();
            assert!(!is_whole || cut == SIGNATURE.len() + 8, "cut after {cut} bytes");
        }
    }
}
