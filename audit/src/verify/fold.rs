//! The fold, stopping where something was made from the log up to there, and comparing that.

use std::sync::{Arc, atomic::Ordering::Relaxed, mpsc::Receiver};

use aggregates::AggregateType;
use journal::Position;
use projections::mypage::StoredHistories;
use sqlx::PgConnection;
use tokio::runtime::Handle;

use super::{
    Breach, Check, Verdict,
    check::Findings,
    decode::Decoded,
    derived,
    ledger::Ledger,
    progress::Progress,
    settled::{self, UnderWay},
    snapshots::Snapshots,
};
use crate::{Error, Row, log::Copy};

/// Everything that the fold compares with, and where.
pub(super) struct Comparisons {
    /// Sees the same state of Postgres as the reader of the log.
    pub connection: PgConnection,
    pub snapshots: Snapshots,
    /// Up to where the ticket counts were made, until they are compared.
    pub counts_at: Option<Position>,
    /// The histories, until they are compared.
    pub histories: Option<StoredHistories>,
    /// Up to where the saga has reacted.
    pub saga: Position,
    /// Where the log ends.
    pub head: Position,
}

/// Folds everything that comes. Runs on a thread of its own, which may wait.
pub(super) fn run(
    decoded: &Receiver<Vec<Decoded>>,
    mut with: Comparisons,
    progress: &Arc<Progress>,
    runtime: &Handle,
) -> Result<Findings, Error> {
    let mut ledger = Ledger::new();
    while let Ok(events) = decoded.recv() {
        let count = events.len() as u64;
        for event in events {
            with.before(event.position, &mut ledger, runtime)?;
            let (aggregate, id, sequence, position) = (event.aggregate, event.id, event.sequence, event.position);
            ledger.push(event)?;
            if aggregate == AggregateType::Concert && with.snapshots.is_due(id, sequence) {
                with.snapshot(id, position, &mut ledger, runtime)?;
            }
        }
        progress.events.fetch_add(count, Relaxed);
    }
    with.finish(ledger, runtime)
}

impl Comparisons {
    /// Compares what was made up to right before `position`.
    fn before(&mut self, position: Position, ledger: &mut Ledger, runtime: &Handle) -> Result<(), Error> {
        if let Some(at) = self.counts_at.take_if(|at| *at < position) {
            runtime.block_on(derived::counts(&mut self.connection, ledger, at))?;
        }
        if let Some(histories) = self.histories.take_if(|histories| histories.position() < position) {
            self.compare_histories(&histories, ledger, runtime)?;
        }
        Ok(())
    }

    fn snapshot(
        &mut self,
        id: uuid::Uuid,
        position: Position,
        ledger: &mut Ledger,
        runtime: &Handle,
    ) -> Result<(), Error> {
        let Some(record) = ledger.concerts.get(id)? else { return Ok(()) };
        let comparing = self.snapshots.compare(&mut self.connection, id, position, record, &mut ledger.findings);
        runtime.block_on(comparing)
    }

    fn compare_histories(
        &mut self,
        stored: &StoredHistories,
        ledger: &mut Ledger,
        runtime: &Handle,
    ) -> Result<(), Error> {
        let at = stored.position();
        let event = runtime.block_on(async {
            let mut copy = Copy::of_positions(&mut self.connection, at, at).await?;
            let mut found = None;
            while let Some(message) = copy.next().await? {
                found = found.or(Row::parse(&message)?.and_then(|row| row.to_recorded()));
            }
            Ok::<_, Error>(found)
        })?;
        if event.is_some_and(|event| !stored.is_made_from(&event)) {
            let expected = "histories that were made from this log";
            let breach = Breach::at(at, "the booking histories", expected, "their last event is another");
            ledger.findings.breach(Check::Histories, breach);
        }
        derived::histories(stored, ledger, at)
    }

    fn finish(mut self, mut ledger: Ledger, runtime: &Handle) -> Result<Findings, Error> {
        self.before(Position(u64::MAX), &mut ledger, runtime)?;
        let mut findings = Findings::default();
        self.snapshots.finish(&mut findings);
        let mut under_way = UnderWay::default();
        ledger.bookings.for_each(|id, record| {
            settled::check(id, record, self.saga, &mut under_way, &mut findings);
            Ok(())
        })?;
        let UnderWay { before_the_saga, refunds } = under_way;
        if before_the_saga > 0 {
            let note =
                format!("{before_the_saga} are under way: the saga is at {}, the log at {}", self.saga, self.head);
            findings.note(Check::FollowUps, note);
        }
        if refunds > 0 {
            let note = format!("of {refunds} the payment is being cancelled: the provider has the last word");
            findings.note(Check::Money, note);
        }
        findings.merge(ledger.findings);
        Ok(findings)
    }
}

/// Something is derived from positions that the log does not have.
pub(super) fn ahead(findings: &mut Findings, check: Check, subject: &str, at: Position, head: Position) {
    let expected = format!("a position up to {head}, the end of the log");
    findings.breach(check, Breach::at(head, subject, expected, at));
}

/// Nothing was made yet, so nothing can be wrong with it.
pub(super) fn nothing_yet(findings: &mut Findings, check: Check, why: &str) {
    findings.not_checked(check, Verdict::Skipped(why.to_owned()));
}
