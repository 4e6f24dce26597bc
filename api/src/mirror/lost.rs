//! What JetStream has that a restored Postgres lost.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use chrono::{DateTime, Utc};
use clap::Args;
use journal::{Position, RecordedEvent};
use nats::{Parting, parting, read_lost};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    cli, rebuild,
    status::{
        figures::{count, several},
        place::Source,
        table::aligned,
    },
};

/// What our session is called in Postgres, and what nats-server knows us by.
const SESSION: &str = "boxoffice restore-check";
/// Lost events that are listed, at most; all are counted, and all are exported.
const LISTED_MAX: usize = 50;

/// Where to look, and what to do with what is found.
#[derive(Args)]
pub(crate) struct RestoreCheck {
    /// Write every lost event to this file, a JSON document a line.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
    /// The data directory of an `up`; without it DATABASE_URL and NATS_READER_URL (or NATS_URL), else BOXOFFICE_DATA, else
    /// `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    journal: Position,
    mirror: Position,
    /// Up to here both are the same.
    agreed: Position,
    /// Events that only JetStream has.
    lost: u64,
    /// Events that Postgres has appended since in their place.
    appended_since: u64,
    by_type: BTreeMap<String, u64>,
    /// The first of them.
    listed: Vec<Listed>,
    exported_to: Option<PathBuf>,
    next: Vec<String>,
}

/// One lost event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    position: Position,
    recorded_at: DateTime<Utc>,
    aggregate: String,
    aggregate_id: Uuid,
    event_type: String,
}

/// One lost event, whole.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported<'a> {
    position: Position,
    recorded_at: DateTime<Utc>,
    aggregate: &'a str,
    aggregate_id: Uuid,
    sequence: u64,
    event_type: &'a str,
    event_version: &'a str,
    payload: &'a RawValue,
    metadata: &'a RawValue,
}

/// Exits with 0 where nothing is lost, with 1 where something is or where nobody can tell.
pub(crate) async fn run(options: RestoreCheck) -> ExitCode {
    let source = match Source::find(options.data.clone(), |name| std::env::var(name).ok()) {
        Ok(source) => source,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let url = match source.database(SESSION).and_then(|_| source.nats_url()) {
        Ok(url) => url,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let found = match find(&source, &url, options.export).await {
        Ok(found) => found,
        Err(error) => return cli::failed(&error),
    };
    if options.json {
        match serde_json::to_string_pretty(&found) {
            Ok(document) => println!("{document}"),
            Err(error) => return cli::failed(&error.to_string()),
        }
    } else {
        println!("{}", lines(&found).join("\n"));
    }
    if found.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn find(source: &Source, url: &str, export: Option<PathBuf>) -> Result<Found, String> {
    let pool = rebuild::pool(source, SESSION).await?;
    let client = nats::connect(url, SESSION).await.map_err(|error| error.to_string())?;
    let parting = parting(&client, &pool).await.map_err(|error| error.to_string())?;
    let mut found = Found::of(parting, None);
    if parting.lost() == 0 {
        return Ok(found);
    }
    let mut file = export.as_ref().map(|path| Ok(BufWriter::new(File::create_new(path)?))).transpose().map_err(
        |error: std::io::Error| format!("--export {}: {error}", export.clone().unwrap_or_default().display()),
    )?;
    read_lost(&client, parting, |event| {
        found.add(event);
        file.as_mut().map_or(Ok(()), |file| write(file, event))
    })
    .await
    .map_err(|error| error.to_string())?;
    if let Some(mut file) = file {
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|error| format!("--export: {error}"))?;
    }
    found.exported_to.clone_from(&export);
    found.next = next(&found);
    Ok(found)
}

fn write(file: &mut impl Write, event: &RecordedEvent) -> std::io::Result<()> {
    let exported = Exported {
        position: event.position,
        recorded_at: event.recorded_at,
        aggregate: event.aggregate.as_str(),
        aggregate_id: event.aggregate_id,
        sequence: event.sequence.0,
        event_type: &event.event_type,
        event_version: &event.event_version,
        payload: serde_json::from_str(&event.payload)?,
        metadata: serde_json::from_str(&event.metadata)?,
    };
    serde_json::to_writer(&mut *file, &exported)?;
    file.write_all(b"\n")
}

impl Found {
    fn of(parting: Parting, exported_to: Option<PathBuf>) -> Self {
        Self {
            journal: parting.journal,
            mirror: parting.mirror,
            agreed: parting.agreed,
            lost: parting.lost(),
            appended_since: parting.appended_since(),
            by_type: BTreeMap::new(),
            listed: Vec::new(),
            exported_to,
            next: Vec::new(),
        }
    }

    fn add(&mut self, event: &RecordedEvent) {
        *self.by_type.entry(event.event_type.to_string()).or_default() += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push(Listed {
                position: event.position,
                recorded_at: event.recorded_at,
                aggregate: event.aggregate.to_string(),
                aggregate_id: event.aggregate_id,
                event_type: event.event_type.to_string(),
            });
        }
    }
}

/// What to do now, in order.
fn next(found: &Found) -> Vec<String> {
    let mut next = Vec::new();
    if found.exported_to.is_none() {
        next.push(
            "keep them: run this again with --export FILE, before anything else is done to the stream".to_owned(),
        );
    }
    if found.appended_since > 0 {
        next.push(format!(
            "{} took their places since: they can no longer be put back as they were",
            several(found.appended_since, "event")
        ));
    } else {
        next.push(
            "do not let anybody book yet: stop every process, and restore a later backup of Postgres if there is one"
                .to_owned(),
        );
    }
    next.push(
        "see who was told something that is lost (payments first: PaymentApproved, PaymentCanceled), and compare with the \
         payment provider's books"
            .to_owned(),
    );
    next.push(
        "once they are kept, and what is lost is given up: `boxoffice mirror rebuild --give-up`, then start the processes".into(),
    );
    next
}

fn lines(found: &Found) -> Vec<String> {
    let Found { journal, mirror, agreed, lost, appended_since, by_type, listed, exported_to, next } = found;
    let ends = format!("Postgres ends at position {}, JetStream at {}", count(journal.0), count(mirror.0));
    if *lost == 0 {
        return vec![format!("nothing is lost: {ends}, and both are the same up to {}", count(agreed.0))];
    }
    let mut lines = vec![
        format!("{} lost: {ends}, and they are the same up to {}", several(*lost, "event"), count(agreed.0)),
        format!("{} appended to Postgres since, in their place", several(*appended_since, "event")),
        String::new(),
    ];
    let types: Vec<_> = by_type.iter().map(|(name, number)| vec![count(*number), name.clone()]).collect();
    lines.extend(aligned(&types, &[0]));
    lines.push(String::new());
    let rows: Vec<_> = listed
        .iter()
        .map(|event| {
            let at = event.recorded_at.format("%F %T UTC").to_string();
            let of = format!("{} {}", event.aggregate, event.aggregate_id);
            vec![count(event.position.0), at, event.event_type.clone(), of]
        })
        .collect();
    lines.extend(aligned(&rows, &[0]));
    let hidden = lost.saturating_sub(listed.len() as u64);
    if hidden > 0 {
        lines.push(format!("and {} more", several(hidden, "event")));
    }
    if let Some(path) = exported_to {
        lines.push(format!("all of them are in {}", path.display()));
    }
    lines.push(String::new());
    lines.push("what to do next:".to_owned());
    lines.extend(next.iter().map(|step| format!("-> {step}")));
    lines
}
