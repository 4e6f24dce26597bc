//! `boxoffice audit replay`.

use std::{
    io::{BufWriter, Stdout, Write},
    process::ExitCode,
};

use aggregates::AggregateType;
use audit::{At, Change, Error, Replayed, replay};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use journal::Position;
use serde_json::Value;
use uuid::Uuid;

use super::place::{Fault, Place, aggregate, document, ended, line, out};

/// What to replay, and up to when.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// user, concert, booking, or payment.
    #[arg(value_parser = aggregate)]
    aggregate: AggregateType,
    /// Which one.
    id: Uuid,
    /// A position of the log, or a time (RFC 3339); without it, as it is now.
    #[arg(long, value_name = "POSITION|TIME", value_parser = at)]
    at: Option<At>,
    /// Show what each event changed.
    #[arg(long)]
    diff: bool,
    /// Print a JSON document; with --diff, one a line, of each change, and the state last.
    #[arg(long)]
    json: bool,
}

/// A position, or else a time.
pub(crate) fn at(text: &str) -> Result<At, String> {
    if let Ok(position) = text.parse::<u64>() {
        return Ok(At::Position(Position(position)));
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| At::Time(time.with_timezone(&Utc)))
        .map_err(|_| "it is neither a position nor a time (RFC 3339)".to_owned())
}

/// Shows it.
pub(super) async fn run(options: Options) -> ExitCode {
    ended(show(options).await)
}

async fn show(options: Options) -> Result<(), Fault> {
    let Options { place, aggregate: kind, id, at, diff, json } = options;
    let mut snapshot = place.snapshot().await?;
    let mut out = out();
    let mut tell = |change: Change| if json { line(&mut out, &change) } else { changed(&mut out, &change) };
    let each: Option<&mut (dyn FnMut(Change) -> Result<(), Error> + Send)> = if diff { Some(&mut tell) } else { None };
    let replayed = replay(snapshot.connection(), kind, id, at.unwrap_or_default(), each).await?;
    match (json, diff) {
        (true, true) => line(&mut out, &replayed)?,
        (true, false) => return document(&replayed),
        (false, true) => {
            writeln!(out)?;
            state(&mut out, &replayed)?;
        }
        (false, false) => state(&mut out, &replayed)?,
    }
    Ok(out.flush()?)
}

fn changed(out: &mut BufWriter<Stdout>, change: &Change) -> Result<(), Error> {
    let at = change.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    writeln!(out, "{:>10}  {at}  {}", change.position.0, change.event_type)?;
    for (path, (before, after)) in &change.changes {
        writeln!(out, "            {path}: {} -> {}", plain(before), plain(after))?;
    }
    Ok(())
}

fn state(out: &mut BufWriter<Stdout>, replayed: &Replayed) -> Result<(), Error> {
    let Replayed { aggregate, id, position, recorded_at, sequence, state } = replayed;
    let at = recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    writeln!(out, "{aggregate} {id} after its event {sequence}, position {position}, {at}")?;
    fields(out, "", state)
}

fn fields(out: &mut BufWriter<Stdout>, path: &str, value: &Value) -> Result<(), Error> {
    match value {
        Value::Object(object) => object.iter().try_for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            fields(out, &path, value)
        }),
        leaf => Ok(writeln!(out, "  {path:24} {}", plain(leaf))?),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
