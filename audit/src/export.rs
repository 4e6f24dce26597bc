//! The log for other programs: every column of every event, payload and metadata as the exact stored text, as it comes.

use std::io::Write;

use chrono::SecondsFormat;
use journal::Position;
use serde::Serialize;

use crate::{Error, Row, Snapshot, log::Copy};

/// As what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line.
    JsonLines,
    /// RFC 4180, with a header.
    Csv,
}

/// The columns, by their names outside of Postgres.
const HEADER: [&str; 9] = [
    "position",
    "recordedAt",
    "aggregateType",
    "aggregateId",
    "sequence",
    "eventType",
    "eventVersion",
    "payload",
    "metadata",
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    position: u64,
    recorded_at: String,
    aggregate_type: &'a str,
    aggregate_id: &'a str,
    sequence: u64,
    event_type: &'a str,
    event_version: &'a str,
    /// A string, not an object: another program's JSON library must not come between the text and its hash.
    payload: &'a str,
    metadata: &'a str,
}

/// Writes the events of a snapshot from one position to another. Returns how many there were.
pub async fn export(
    snapshot: &mut Snapshot,
    from: Option<Position>,
    to: Option<Position>,
    format: Format,
    out: impl Write,
) -> Result<u64, Error> {
    let (from, to) = (from.unwrap_or_default(), to.unwrap_or(snapshot.head));
    let mut copy = Copy::of_positions(&mut snapshot.connection, from, to).await?;
    let mut writer = Writer::new(format, out)?;
    let mut count = 0;
    while let Some(message) = copy.next().await? {
        if let Some(row) = Row::parse(&message)? {
            writer.write(&row)?;
            count += 1;
        }
    }
    writer.finish()?;
    Ok(count)
}

enum Writer<W: Write> {
    JsonLines(W),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> Writer<W> {
    fn new(format: Format, out: W) -> Result<Self, Error> {
        match format {
            Format::JsonLines => Ok(Self::JsonLines(out)),
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
                writer.write_record(HEADER)?;
                Ok(Self::Csv(Box::new(writer)))
            }
        }
    }

    fn write(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let recorded_at = row.recorded_at().ok_or(Error::Row(row.position))?;
        let line = Line {
            position: row.position.0,
            recorded_at: recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            sequence: row.sequence.0,
            event_type: row.event_type,
            event_version: row.event_version,
            payload: row.payload,
            metadata: row.metadata,
        };
        match self {
            Self::JsonLines(out) => {
                serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Self::Csv(writer) => writer.serialize(&line)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        match self {
            Self::JsonLines(mut out) => out.flush()?,
            Self::Csv(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}
