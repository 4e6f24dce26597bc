//! Reports for tests.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use journal::Position;
use uuid::Uuid;

use super::{
    money::{Failure, Work},
    report::{Cache, Follower, Log, Office, Payments, Process, Relay, Report},
    seen::{CONCERTS, MYPAGE},
    verdict,
};
use crate::vitals::{Breaker, CacheUse, Holds, RelayActivity, Vitals};

/// The process that does everything.
pub(super) const PROCESS: Uuid = Uuid::from_u128(1);

/// When the samples are of.
pub(super) fn at() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// One process that does everything and has caught up.
pub(super) fn report() -> Report {
    let caught_up = |name: &str, process| Follower {
        name: name.to_owned(),
        process,
        position: Some(Position(1_234)),
        lag_events: Some(0),
        lag_seconds: Some(0.0),
    };
    let held = |name: &str| Office { name: name.to_owned(), held: true, process: Some(PROCESS) };
    Report {
        at: at(),
        ok: true,
        troubles: Vec::new(),
        journal: Log {
            position: Position(1_234),
            recorded_at: Some(at() - TimeDelta::seconds(3)),
            events_per_second: 2.5,
        },
        relay: Relay { state: Some(RelayActivity::Live), halted: None, unreachable: None },
        followers: vec![
            caught_up(nats::LEASE, None),
            caught_up(payments::due::CHECKPOINT, None),
            caught_up(saga::CHECKPOINT, None),
            caught_up(CONCERTS, Some(PROCESS)),
            caught_up(MYPAGE, Some(PROCESS)),
        ],
        offices: vec![held(nats::LEASE), held(saga::LEASE), held(payments::due::LEASE), held(seals::LEASE)],
        payments: Payments {
            configured: Some(true),
            breaker: Some(Breaker::Closed),
            work: BTreeMap::from([("refund".to_owned(), Work { waiting: 2, ..Work::default() })]),
        },
        holds: Some(Holds { waiting: 3, overdue_seconds: 0.0, due: 0, due_in_a_minute: 1 }),
        cache: Cache { aggregates: 7, look_ups: 200, hit_rate: Some(0.985) },
        concert_cancellations: Vec::new(),
        parked: Vec::new(),
        rebuilds: Vec::new(),
        processes: vec![process(PROCESS, 0.5)],
    }
}

/// A process that was seen so many seconds ago.
pub(super) fn process(id: Uuid, seen_seconds_ago: f64) -> Process {
    let vitals = Vitals {
        host: "box".to_owned(),
        pid: 4_711,
        version: "0.1.0".to_owned(),
        started_at: at() - TimeDelta::minutes(3),
        listen: ([127, 0, 0, 1], 8080).into(),
        journal_position: Position(1_234),
        cache: CacheUse { aggregates: 7, hits: 197, misses: 3 },
        relay: RelayActivity::Live,
        halted: None,
        ticket_counts_position: Position(1_234),
        mypage_position: Position(1_234),
        breaker: Some(Breaker::Closed),
        holds: None,
        standstills: Vec::new(),
        parked: Vec::new(),
    };
    Process { id, live: seen_seconds_ago < 6.0, seen_seconds_ago, vitals: Some(vitals) }
}

/// A payment that was tried for `tries` times in vain.
pub(super) fn failure(tries: u32) -> Failure {
    let last_error = Some("the provider is down".to_owned());
    Failure { payment_id: Uuid::from_u128(2), tries, last_error, next_try_at: at() }
}

/// With the troubles that it has.
pub(super) fn judged(mut report: Report) -> Report {
    report.troubles = verdict::troubles(&report);
    report.ok = report.troubles.is_empty();
    report
}
