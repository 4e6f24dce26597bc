//! What is wrong, if anything, and what to do about it.

use super::{
    figures::{count, duration, several},
    report::{Process, Rebuild, Report, Trouble},
    seen::{CONCERTS, MYPAGE},
};
use crate::{
    sealing,
    vitals::{Breaker, KEPT_SECONDS, RelayActivity},
};

/// Seconds that a follower may be behind without anybody having to look.
const LAG_SECONDS_MAX: f64 = 5.0;
/// Seconds after the start of the first process until which an office may be vacant: it is being elected.
const ELECTION_SECONDS_MAX: i64 = 5;
/// Vain tries for one payment from which on somebody should look at the provider.
const TRIES_WORRYING: u32 = 3;
/// Seconds that something may be due before somebody should look why nobody does it.
const DUE_SECONDS_MAX: f64 = 30.0;
/// Seconds without a word of a rebuild after which it is taken to be dead. Making an index takes one without a word.
const REBUILD_SILENT_SECONDS_MAX: f64 = 30.0;

/// Everything that is wrong, the worst first.
pub(super) fn troubles(report: &Report) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if report.live().next().is_none() {
        troubles.push(nobody(report));
        troubles.extend(unreachable(report));
        return troubles;
    }
    troubles.extend(halted(report));
    troubles.extend(unreachable(report));
    troubles.extend(standstills(report));
    troubles.extend(parked(report));
    troubles.extend(interrupted(report));
    troubles.extend(vacant(report));
    troubles.extend(behind(report));
    troubles.extend(holds(report));
    troubles.extend(breaker(report));
    troubles.extend(work(report));
    troubles.extend(gone(report));
    troubles
}

fn trouble(what: impl Into<String>, remedy: impl Into<String>) -> Trouble {
    Trouble { what: what.into(), remedy: remedy.into() }
}

fn nobody(report: &Report) -> Trouble {
    let last = report.processes.iter().min_by(|a, b| a.seen_seconds_ago.total_cmp(&b.seen_seconds_ago));
    let seen = last.map_or_else(String::new, |last| format!("; {}", last_seen(last)));
    trouble(format!("no process runs{seen}"), "start one: `boxoffice serve`, or `boxoffice up`")
}

fn last_seen(process: &Process) -> String {
    format!("{} was last seen {} ago", process.label(), duration(process.seen_seconds_ago))
}

fn unreachable(report: &Report) -> Option<Trouble> {
    let why = report.relay.unreachable.as_ref()?;
    let remedy = "bookings go on, and views read Postgres meanwhile; start nats-server again, or put NATS_READER_URL \
                  (or NATS_URL) right";
    Some(trouble(format!("JetStream does not tell how far it is: {why}"), remedy))
}

fn halted(report: &Report) -> Option<Trouble> {
    let halted = report.relay.halted.as_ref()?;
    Some(trouble(format!("the relay is halted: {}", halted.reason), halted.remedy.clone()))
}

fn standstills(report: &Report) -> impl Iterator<Item = Trouble> {
    report.live().flat_map(|process| {
        process.standstills().iter().map(|standstill| {
            let what = format!("{} of {} stands still: {}", standstill.projection, process.label(), standstill.reason);
            trouble(
                what,
                "what it shows no longer changes, the rest goes on; put that right and start the process again",
            )
        })
    })
}

fn parked(report: &Report) -> impl Iterator<Item = Trouble> {
    report.parked.iter().map(|parked| {
        let of = parked.process.map_or_else(String::new, |process| format!(" of {}", report.label(process)));
        let events = &parked.events;
        let first = events.first.first().map_or_else(String::new, |first| {
            let (attempts, waiting) = (u64::from(first.attempts), first.waiting);
            format!(
                "; the first is {} at position {}, of {} {}, after {}, with {} behind it: {}",
                first.event_type,
                first.position,
                first.aggregate,
                first.aggregate_id,
                several(attempts, "attempt"),
                several(waiting, "event"),
                first.error
            )
        });
        let count = several(events.count as u64, "event");
        trouble(
            format!("{count} cannot be projected into {}{of}{first}", events.projection),
            "what concerns other rows goes on; once a version runs that can, or the event is put right: `boxoffice \
             projections retry`",
        )
    })
}

fn interrupted(report: &Report) -> impl Iterator<Item = Trouble> {
    report.rebuilds.iter().filter(|rebuild| rebuild.told_seconds_ago > REBUILD_SILENT_SECONDS_MAX).map(|rebuild| {
        let Rebuild { projection, generation, phase, told_seconds_ago, .. } = rebuild;
        trouble(
            format!(
                "nothing was heard for {} of the rebuild of {projection} (generation {generation}, {phase})",
                duration(*told_seconds_ago)
            ),
            format!(
                "the live copy is as it was; if it was killed: `boxoffice rebuild {projection}` goes on where it was"
            ),
        )
    })
}

fn vacant(report: &Report) -> impl Iterator<Item = Trouble> {
    let first = report.live().filter_map(|process| Some(process.vitals.as_ref()?.started_at)).min();
    let electing = first.is_none_or(|first| (report.at - first).num_seconds() < ELECTION_SECONDS_MAX);
    let is_halted = report.relay.state == Some(RelayActivity::Halted);
    let missed = report.offices.iter().filter(move |office| {
        let unneeded = match office.name.as_str() {
            // Once halted it stays away.
            nats::LEASE => is_halted,
            payments::due::LEASE => report.payments.configured != Some(true),
            seals::LEASE => seals_halted(report),
            _ => false,
        };
        !office.held && !electing && !unneeded
    });
    missed.map(|office| {
        let remedy = "the next process to be elected goes on where it ended; look at the logs why none is";
        trouble(format!("no process does the work of the {}", office_name(&office.name)), remedy)
    })
}

/// Whether a sealer found that seals and log contradict each other; no other takes over then.
fn seals_halted(report: &Report) -> bool {
    report.live().any(|process| process.standstills().iter().any(|standstill| standstill.projection == sealing::NAME))
}

fn office_name(lease: &str) -> &str {
    if lease == payments::due::LEASE { "payments' attendant" } else { lease }
}

fn behind(report: &Report) -> impl Iterator<Item = Trouble> {
    let watched = report.followers.iter().filter(|follower| match follower.name.as_str() {
        nats::LEASE => report.relay.halted.is_none(),
        saga::CHECKPOINT | CONCERTS | MYPAGE => true,
        seals::CHECKPOINT => !seals_halted(report),
        payments::due::CHECKPOINT => report.payments.configured == Some(true),
        // Left behind by another version, or by what does not run here.
        _ => false,
    });
    watched.filter_map(|follower| {
        let (events, seconds) = follower.lag_events.zip(follower.lag_seconds)?;
        let of = follower.process.map_or_else(String::new, |process| format!(" of {}", report.label(process)));
        let what = format!("{}{of} is {} ({}) behind", follower.name, several(events, "event"), duration(seconds));
        (seconds > LAG_SECONDS_MAX).then(|| {
            trouble(what, "it catches up by itself unless it stands still; if this grows, look at the logs why")
        })
    })
}

fn holds(report: &Report) -> Option<Trouble> {
    let holds = report.holds.filter(|holds| holds.overdue_seconds > DUE_SECONDS_MAX)?;
    let what = format!("holds do not end: the first should have {} ago", duration(holds.overdue_seconds));
    Some(trouble(
        what,
        "their tickets are not for sale until they do; look at the log of the process that runs the saga",
    ))
}

fn breaker(report: &Report) -> Option<Trouble> {
    (report.payments.breaker == Some(Breaker::Open)).then(|| {
        let what = "the circuit breaker is open: the payment provider fails, so nobody can pay";
        trouble(
            what,
            "bookings and holds go on, and it closes by itself when the provider answers; see how the provider is",
        )
    })
}

fn work(report: &Report) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for (kind, work) in &report.payments.work {
        let name = work_name(kind);
        if let Some(worst) = work.worst.as_ref().filter(|worst| worst.tries >= TRIES_WORRYING) {
            let why = worst.last_error.as_deref().unwrap_or("no reason is known");
            let what = format!(
                "{} of {} failed; payment {} {} times, at last: {why}",
                count(work.failed),
                several(work.waiting, name),
                worst.payment_id,
                worst.tries,
            );
            troubles.push(trouble(what, "they are tried on by themselves; see what the provider says to this"));
        }
        if work.for_a_person > 0 {
            let what = format!("{} cannot be made sense of", several(work.for_a_person, name));
            let remedy = match kind.as_str() {
                "webhook" => {
                    "see `last_error` of the heeded rows of the table payment_webhooks, and the provider's own books"
                }
                _ => {
                    "see `last_error` of the rows of the table payment_work that are for_a_person, and the provider's \
                     own books; money that is given back there ends it"
                }
            };
            troubles.push(trouble(what, remedy));
        }
        let waited = work.due_since.map_or(0.0, |since| (report.at - since).as_seconds_f64());
        if waited > DUE_SECONDS_MAX && report.payments.configured == Some(true) {
            let what = format!("{} should have been attended to {} ago", several(work.due, name), duration(waited));
            troubles.push(trouble(what, "look at the log of the process that attends to payments"));
        }
    }
    troubles
}

/// One of what is to be done.
pub(super) fn work_name(kind: &str) -> &str {
    match kind {
        "settle" => "open attempt",
        "verify" => "late check",
        other => other,
    }
}

fn gone(report: &Report) -> impl Iterator<Item = Trouble> {
    report.processes.iter().filter(|process| !process.live).map(|process| {
        let remedy = format!(
            "it did not end in order: start it again if it should run; after {} it is forgotten",
            duration(KEPT_SECONDS)
        );
        trouble(last_seen(process), remedy)
    })
}

#[cfg(test)]
mod tests;
