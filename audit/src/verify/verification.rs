//! One verification from its beginning to its end.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use journal::Position;
use nats::StreamScan;
use projections::{mypage::StoredHistories, ticket_counts::StoredCounts};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use tokio::{runtime::Handle, sync::mpsc as channel, task::spawn_blocking, time::timeout};

use super::{
    Check, Checked, LogCheck, Verdict,
    check::{Breach, Findings},
    decode::Decoder,
    fold::{self, Comparisons},
    mirror,
    progress::Progress,
    snapshots::Snapshots,
};
use crate::{
    Error,
    log::{Copy, Snapshot},
};

/// Rows that go from one part to the next at once.
const CHUNK_ROWS: usize = 512;
/// Chunks that wait between two parts.
const CHUNKS_WAITING_MAX: usize = 8;
/// How long NATS may take to say how far the stream is.
pub(super) const NATS_WAIT_MAX: Duration = Duration::from_secs(5);
/// What the server knows us by.
pub(super) const NATS_NAME: &str = "boxoffice audit";
/// The saga's checkpoint; the saga itself is no business of an audit.
const SAGA: &str = "saga";

/// What to verify.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Postgres.
    pub database: PgConnectOptions,
    /// The mirror; `None`: it is not to be looked at.
    pub nats_url: Option<String>,
    /// The file of booking histories; `None`: it is not to be looked at.
    pub mypage: Option<PathBuf>,
}

/// What a verification has come to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether every check that was made holds.
    pub sound: bool,
    /// Whether every check that was asked for could be made.
    pub complete: bool,
    /// Up to where the log was read.
    pub position: Position,
    /// As of when.
    pub taken_at: DateTime<Utc>,
    /// Events read.
    pub events: u64,
    /// How long the log took.
    pub log_seconds: f64,
    /// How long the mirror took, after that.
    pub mirror_seconds: f64,
    /// Every check.
    pub checks: Vec<Checked>,
}

/// Verifies everything. What it finds is in the report; an error says that it could not look.
pub async fn verify(
    subject: &Subject,
    others: Vec<Box<dyn LogCheck>>,
    progress: Arc<Progress>,
) -> Result<Report, Error> {
    let mut findings = Findings::default();
    if others.is_empty() {
        fold::nothing_yet(&mut findings, Check::Seals, "not asked for");
    }
    // What is made from the log is looked at before the log, so that it cannot be ahead of it.
    let histories = open_histories(subject, &mut findings);
    let scan = open_mirror(subject, &mut findings).await;
    let mut snapshot = Snapshot::take(&subject.database).await?;
    let head = snapshot.head;
    progress.events_in_all.store(head.0, Relaxed);
    let comparisons = comparisons(&snapshot, histories, &mut findings).await?;

    let began = Instant::now();
    let (last, found) = read_log(&mut snapshot, others, comparisons, &progress).await?;
    findings.merge(found);
    check_head(&snapshot, last, &mut findings);
    let log_seconds = began.elapsed().as_secs_f64();
    let began = Instant::now();
    if let Some(scan) = scan
        && let Err(error) = mirror::compare(&mut snapshot, scan, &progress, &mut findings).await
    {
        match error {
            Error::Mirror(error) => findings.not_checked(Check::Mirror, Verdict::Unseen(error.to_string())),
            other => return Err(other),
        }
    }
    let mirror_seconds = began.elapsed().as_secs_f64();
    let taken_at = snapshot.taken_at;
    let checks = findings.into_checked();
    Ok(Report {
        sound: checks.iter().all(|checked| checked.breaches == 0),
        complete: !checks.iter().any(|checked| matches!(checked.verdict, Verdict::Unseen(_))),
        position: head,
        taken_at,
        events: progress.events.load(Relaxed),
        log_seconds,
        mirror_seconds,
        checks,
    })
}

fn open_histories(subject: &Subject, findings: &mut Findings) -> Option<StoredHistories> {
    let Some(path) = &subject.mypage else {
        fold::nothing_yet(findings, Check::Histories, "not asked for");
        return None;
    };
    match StoredHistories::open(path) {
        Ok(histories) => Some(histories),
        Err(error) => {
            let why = format!("{}: {error}", path.display());
            findings.not_checked(Check::Histories, Verdict::Unseen(why));
            None
        }
    }
}

async fn open_mirror(subject: &Subject, findings: &mut Findings) -> Option<StreamScan> {
    let Some(url) = &subject.nats_url else {
        fold::nothing_yet(findings, Check::Mirror, "not asked for");
        return None;
    };
    let opening = async {
        let client = nats::connect(url, NATS_NAME).await.map_err(|error| error.to_string())?;
        StreamScan::open(client).await.map_err(|error| error.to_string())
    };
    let late = || Err(format!("NATS does not answer within {NATS_WAIT_MAX:?}"));
    match timeout(NATS_WAIT_MAX, opening).await.unwrap_or_else(|_| late()) {
        Ok(scan) => Some(scan),
        Err(error) => {
            findings.not_checked(Check::Mirror, Verdict::Unseen(error));
            None
        }
    }
}

async fn comparisons(
    snapshot: &Snapshot,
    histories: Option<StoredHistories>,
    findings: &mut Findings,
) -> Result<Comparisons, Error> {
    let mut connection = snapshot.beside().await?;
    let head = snapshot.head;
    let snapshots = Snapshots::list(&mut connection, findings).await?;
    let counts_at = StoredCounts::open(&mut connection).await?.checkpoint;
    match counts_at {
        None => fold::nothing_yet(findings, Check::TicketCounts, "none were made yet"),
        Some(at) if at > head => fold::ahead(findings, Check::TicketCounts, "the ticket counts", at, head),
        Some(_) => {}
    }
    if let Some(histories) = &histories
        && histories.position() > head
    {
        fold::ahead(findings, Check::Histories, "the booking histories", histories.position(), head);
    }
    Ok(Comparisons {
        connection,
        snapshots,
        counts_at: counts_at.filter(|at| *at <= head),
        histories: histories.filter(|histories| histories.position() <= head),
        saga: snapshot.checkpoints.get(SAGA).copied().unwrap_or_default(),
        head,
    })
}

/// Reads, decodes and folds side by side. Returns the last row's place and what was found.
async fn read_log(
    snapshot: &mut Snapshot,
    others: Vec<Box<dyn LogCheck>>,
    comparisons: Comparisons,
    progress: &Arc<Progress>,
) -> Result<(Option<(Position, i64)>, Findings), Error> {
    let (read, mut to_decode) = channel::channel::<Vec<Bytes>>(CHUNKS_WAITING_MAX);
    let (pass_on, to_fold) = mpsc::sync_channel(CHUNKS_WAITING_MAX);
    let (runtime, progress) = (Handle::current(), Arc::clone(progress));
    let folding = spawn_blocking(move || fold::run(&to_fold, comparisons, &progress, &runtime));
    let decoding = spawn_blocking(move || {
        let mut decoder = Decoder::new(others);
        while let Some(messages) = to_decode.blocking_recv() {
            // The fold has ended early, and says why.
            if pass_on.send(decoder.read(&messages)?).is_err() {
                break;
            }
        }
        Ok::<_, Error>(decoder.finish())
    });
    // No bound but the snapshot: a row that stands behind the head is one too many.
    let mut copy = Copy::of_positions(&mut snapshot.connection, Position(0), Position(i64::MAX.unsigned_abs())).await?;
    let mut chunk = Vec::with_capacity(CHUNK_ROWS);
    while let Some(message) = copy.next().await? {
        chunk.push(message);
        if chunk.len() == CHUNK_ROWS
            && read.send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_ROWS))).await.is_err()
        {
            break;
        }
    }
    // Whoever is gone by now tells why below.
    let _gone = read.send(chunk).await;
    drop((read, copy));
    let (decoding, folding) = (decoding.await, folding.await);
    let (last, mut findings) = decoding.map_err(|_| Error::Ended)??;
    findings.merge(folding.map_err(|_| Error::Ended)??);
    Ok((last, findings))
}

/// The head is the last event, and nobody is beyond it.
fn check_head(snapshot: &Snapshot, last: Option<(Position, i64)>, findings: &mut Findings) {
    let (last, micros) = last.unwrap_or((Position(0), i64::MIN));
    let head = snapshot.head;
    findings.count(Check::Head, snapshot.checkpoints.len() as u64);
    if head != last {
        let expected = format!("position {last}, that of the last event");
        findings.breach(Check::Head, Breach::at(last, "journal_head", expected, format!("position {head}")));
    }
    if snapshot.head_recorded_at.timestamp_micros() < micros {
        let found = snapshot.head_recorded_at.to_rfc3339();
        findings
            .breach(Check::Head, Breach::at(last, "journal_head", "a time not before that of the last event", found));
    }
    let mut beyond: Vec<_> = snapshot.checkpoints.iter().filter(|(_, at)| **at > head).collect();
    beyond.sort();
    for (name, at) in beyond {
        let expected = format!("a position up to {head}, the end of the log");
        findings.breach(Check::Head, Breach::at(head, format!("checkpoint {name}"), expected, at));
    }
}
