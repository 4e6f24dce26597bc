//! From what was read to the report.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use journal::Position;

use super::{
    events::{Head, Holder},
    money::{Cancellation, Work},
    report::{Cache, Follower, Log, Office, ParkedIn, Payments, Process, Rebuild, Relay, Report},
    verdict,
};
use crate::vitals::{Holds, ProcessRow, RelayActivity, Vitals, WRITE_INTERVAL};

/// Seconds after which a process that has not written is not taken to live any more: it missed two times in a row.
const LIVE_SECONDS_MAX: f64 = 3.0 * WRITE_INTERVAL.as_secs_f64();
/// The followers that keep no checkpoint in Postgres.
pub(super) const MYPAGE: &str = "mypage";
pub(super) const CONCERTS: &str = "concerts";

/// What was read, but for the ages of events.
pub(super) struct Unaged {
    pub head: Head,
    pub events_per_second: f64,
    pub checkpoints: Vec<(String, Position)>,
    pub offices: Vec<(&'static str, Holder)>,
    pub work: BTreeMap<String, Work>,
    pub cancellations: Vec<Cancellation>,
    pub rebuilds: Vec<Rebuild>,
    pub processes: Vec<ProcessRow>,
    /// The last position in JetStream, or why nobody can say.
    pub mirrored: Result<Position, String>,
}

/// What was read.
pub(super) struct Seen {
    pub unaged: Unaged,
    /// When the events of [`Unaged::first_unhandled`] were recorded.
    pub recorded_at: HashMap<Position, DateTime<Utc>>,
}

/// How far something was, and when; how far it should have been then.
struct Mark {
    at: DateTime<Utc>,
    position: Position,
    head: Position,
}

impl Unaged {
    fn mark(&self, position: Position) -> Mark {
        Mark { at: self.head.at, position, head: self.head.position }
    }

    /// The views of the processes that live, as they wrote them.
    fn views(&self) -> impl Iterator<Item = (&ProcessRow, &'static str, Mark)> {
        let live = self.processes.iter().filter(|row| self.is_live(row));
        live.filter_map(|row| Some((row, row.vitals.as_ref()?))).flat_map(|(row, vitals)| {
            let mark = |position| Mark { at: row.written_at, position, head: vitals.journal_position };
            [(row, CONCERTS, mark(vitals.ticket_counts_position)), (row, MYPAGE, mark(vitals.mypage_position))]
        })
    }

    /// The first event that each follower has not handled, where there is one.
    pub fn first_unhandled(&self) -> Vec<Position> {
        let checkpoints = self.checkpoints.iter().map(|(_, position)| self.mark(*position));
        let mirrored = self.mirrored.iter().map(|position| self.mark(*position));
        let marks = checkpoints.chain(mirrored).chain(self.views().map(|(_, _, mark)| mark));
        marks.filter(|mark| mark.position < mark.head).map(|mark| mark.position.next()).collect()
    }

    fn seconds_ago(&self, time: DateTime<Utc>) -> f64 {
        seconds(self.head.at - time)
    }

    fn is_live(&self, row: &ProcessRow) -> bool {
        self.seconds_ago(row.written_at) <= LIVE_SECONDS_MAX
    }
}

impl Seen {
    pub fn report(self) -> Report {
        let mut report = Report {
            at: self.unaged.head.at,
            ok: true,
            troubles: Vec::new(),
            journal: Log {
                position: self.unaged.head.position,
                recorded_at: self.unaged.head.recorded_at,
                events_per_second: self.unaged.events_per_second,
            },
            relay: self.relay(),
            followers: self.followers(),
            offices: self.unaged.offices.iter().map(|(name, holder)| office(name, *holder)).collect(),
            payments: self.payments(),
            holds: self.holds(),
            cache: self.cache(),
            processes: self.processes(),
            parked: self.parked(),
            rebuilds: self.unaged.rebuilds,
            concert_cancellations: self.unaged.cancellations,
        };
        report.troubles = verdict::troubles(&report);
        report.ok = report.troubles.is_empty();
        report
    }

    fn live(&self) -> impl Iterator<Item = (&ProcessRow, &Vitals)> {
        let live = self.unaged.processes.iter().filter(|row| self.unaged.is_live(row));
        live.filter_map(|row| Some((row, row.vitals.as_ref()?)))
    }

    fn follower(&self, name: &str, mark: Option<Mark>) -> Follower {
        let Some(Mark { at, position, head }) = mark else {
            let (position, lag_events, lag_seconds) = (None, None, None);
            return Follower { name: name.to_owned(), process: None, position, lag_events, lag_seconds };
        };
        let first = (position < head).then(|| self.recorded_at.get(&position.next())).flatten();
        Follower {
            name: name.to_owned(),
            process: None,
            position: Some(position),
            lag_events: Some(head.0.saturating_sub(position.0)),
            lag_seconds: Some(first.map_or(0.0, |recorded_at| seconds(at - recorded_at))),
        }
    }

    fn followers(&self) -> Vec<Follower> {
        let relay = self.unaged.mirrored.as_ref().ok().map(|position| self.unaged.mark(*position));
        let mut followers = vec![self.follower(nats::LEASE, relay)];
        // Moved only when there is one, or after many events; how far they are is told by themselves.
        let moving = self.unaged.checkpoints.iter().filter(|(name, _)| name != saga::CANCELLATIONS_CHECKPOINT);
        for (name, position) in moving {
            followers.push(self.follower(name, Some(self.unaged.mark(*position))));
        }
        for (row, name, mark) in self.unaged.views() {
            followers.push(Follower { process: Some(row.process), ..self.follower(name, Some(mark)) });
        }
        followers
    }

    fn relay(&self) -> Relay {
        let elected = self.unaged.offices.iter().find_map(|(name, holder)| match holder {
            Holder::Process(process) if *name == nats::LEASE => Some(*process),
            Holder::Process(_) | Holder::Nobody | Holder::Stranger => None,
        });
        let halted = self.live().find_map(|(_, vitals)| vitals.halted.clone());
        let state = match halted {
            Some(_) => Some(RelayActivity::Halted),
            None => self.live().find(|(row, _)| Some(row.process) == elected).map(|(_, vitals)| vitals.relay),
        };
        Relay { state, halted, unreachable: self.unaged.mirrored.as_ref().err().cloned() }
    }

    fn payments(&self) -> Payments {
        let told: Vec<_> = self.live().map(|(_, vitals)| vitals.breaker).collect();
        let breaker = told.iter().copied().flatten().max();
        let configured = (!told.is_empty()).then_some(breaker.is_some());
        Payments { configured, breaker, work: self.unaged.work.clone() }
    }

    /// As the elected saga tells; for a moment there may be two that take themselves for it.
    fn holds(&self) -> Option<Holds> {
        self.live()
            .filter_map(|(row, vitals)| Some((row.written_at, vitals.holds?)))
            .max_by_key(|(at, _)| *at)
            .map(|(_, holds)| holds)
    }

    fn cache(&self) -> Cache {
        let used = self.live().map(|(_, vitals)| vitals.cache);
        let (aggregates, hits, misses) = used.fold((0, 0, 0), |(aggregates, hits, misses), used| {
            (aggregates + used.aggregates as u64, hits + used.hits, misses + used.misses)
        });
        Cache { aggregates, look_ups: hits + misses, hit_rate: share(hits, hits + misses) }
    }

    /// Of what each process has for itself, each; of what all share, what was written last.
    fn parked(&self) -> Vec<ParkedIn> {
        let told = self.live().flat_map(|(row, vitals)| vitals.parked.iter().map(move |events| (row, events)));
        let (own, shared): (Vec<_>, Vec<_>) = told.partition(|(_, events)| events.projection == MYPAGE);
        let shared = shared.into_iter().max_by_key(|(row, _)| row.written_at);
        let shared = shared.map(|(_, events)| ParkedIn { process: None, events: events.clone() });
        let own = own.into_iter().map(|(row, events)| ParkedIn { process: Some(row.process), events: events.clone() });
        shared.into_iter().chain(own).collect()
    }

    fn processes(&self) -> Vec<Process> {
        let mut processes: Vec<_> = self
            .unaged
            .processes
            .iter()
            .map(|row| Process {
                id: row.process,
                live: self.unaged.is_live(row),
                seen_seconds_ago: self.unaged.seconds_ago(row.written_at),
                vitals: row.vitals.clone(),
            })
            .collect();
        processes.sort_by_key(|process| (!process.live, process.label()));
        processes
    }
}

fn office(name: &str, holder: Holder) -> Office {
    let (held, process) = match holder {
        Holder::Nobody => (false, None),
        Holder::Process(process) => (true, Some(process)),
        Holder::Stranger => (true, None),
    };
    Office { name: name.to_owned(), held, process }
}

/// A share of all, where there is any.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
pub(super) fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// Never below 0: an event may have been recorded a moment after the clock was read.
fn seconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64().max(0.0)
}
