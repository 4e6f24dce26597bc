//! Postgres against JetStream, message by message.

use std::sync::atomic::Ordering::Relaxed;

use journal::Position;
use nats::{Scanned, StreamScan};

use super::{Breach, Check, check::Findings, progress::Progress};
use crate::{
    Error, Row,
    log::{Copy, Snapshot},
};

/// Compares every message that the stream held with the row of its number. A mirror that lags is no breach.
pub(super) async fn compare(
    snapshot: &mut Snapshot,
    mut scan: StreamScan,
    progress: &Progress,
    findings: &mut Findings,
) -> Result<(), Error> {
    let head = snapshot.head;
    progress.messages_in_all.store(scan.last.0, Relaxed);
    let mut copy = Copy::of_positions(&mut snapshot.connection, Position(1), scan.last.min(head)).await?;
    let mut message = scan.next().await?;
    while let Some(bytes) = copy.next().await? {
        let Some(row) = Row::parse(&bytes)? else { continue };
        // What the log does not have, the stream should not either.
        while let Some(sequence) = sequence_of(message.as_ref()).filter(|sequence| *sequence < row.position.0) {
            extra(Position(sequence), "no event, nor message", findings);
            message = scan.next().await?;
        }
        let subject = || format!("{} {}", row.aggregate_type, row.aggregate_id);
        if sequence_of(message.as_ref()) != Some(row.position.0) {
            findings.breach(Check::Mirror, Breach::at(row.position, subject(), "a message", "none: it is missing"));
            continue;
        }
        findings.count(Check::Mirror, 1);
        progress.messages.store(row.position.0, Relaxed);
        if let (Some(message), Some(recorded)) = (&message, row.to_recorded())
            && let Some((what, expected, found)) = message.difference(&recorded)
        {
            let breach = Breach::at(row.position, subject(), format!("{what} {expected}"), found);
            findings.breach(Check::Mirror, breach);
        }
        message = scan.next().await?;
    }
    while let Some(sequence) = sequence_of(message.as_ref()) {
        extra(Position(sequence), format!("the end, as the log ends at {head}").as_str(), findings);
        message = scan.next().await?;
    }
    if scan.last > head && scan.count == 0 {
        extra(scan.last, format!("the end, as the log ends at {head}").as_str(), findings);
    }
    if scan.last < head {
        let behind = head.0 - scan.last.0;
        findings.note(Check::Mirror, format!("{behind} more are on their way: the mirror is behind"));
    }
    Ok(())
}

fn extra(position: Position, expected: &str, findings: &mut Findings) {
    findings.breach(Check::Mirror, Breach::at(position, "the mirror", expected, "a message"));
}

fn sequence_of(message: Option<&Scanned>) -> Option<u64> {
    message.map(|message| message.sequence)
}
