//! What is wrong, and what is not.

use chrono::TimeDelta;
use uuid::Uuid;

use super::*;
use crate::{
    status::{
        money::Work,
        report::Follower,
        sample::{at, failure, process, report},
    },
    vitals::{Halted, Standstill},
};

/// The only trouble after `change`, and its remedy.
fn only(change: impl FnOnce(&mut Report)) -> String {
    let mut changed = report();
    change(&mut changed);
    match &troubles(&changed)[..] {
        [Trouble { what, remedy }] => format!("{what} -> {remedy}"),
        other => panic!("not one trouble: {other:?}"),
    }
}

/// Whether nothing is wrong after `change`.
fn fine(change: impl FnOnce(&mut Report)) -> bool {
    let mut changed = report();
    change(&mut changed);
    troubles(&changed).is_empty()
}

fn lagging(report: &mut Report, name: &str, seconds: f64) {
    let follower = report.followers.iter_mut().find(|follower| follower.name == name);
    let Some(Follower { lag_events, lag_seconds, .. }) = follower else { panic!("no {name}") };
    (*lag_events, *lag_seconds) = (Some(1_500), Some(seconds));
}

fn vacate(report: &mut Report, name: &str) {
    for office in report.offices.iter_mut().filter(|office| office.name == name) {
        (office.held, office.process) = (false, None);
    }
}

#[test]
fn nothing_is_wrong_with_a_system_at_work() {
    assert!(fine(|_| {}));
    assert!(fine(|report| lagging(report, saga::CHECKPOINT, 4.0)));
    assert!(fine(|report| report.payments.work.entry("refund".into()).or_default().worst = Some(failure(2))));
}

#[test]
fn who_is_behind_is_named_with_how_far() {
    for (name, shown) in [(nats::LEASE, "relay is"), (saga::CHECKPOINT, "saga is"), (MYPAGE, "mypage of box:4711 is")] {
        let text = only(|report| lagging(report, name, 7.0));
        assert!(text.starts_with(&format!("{shown} 1,500 events (7.0 s) behind")), "{text}");
    }
    // What another version left behind lags for ever.
    assert!(fine(|report| {
        lagging(report, CONCERTS, 7.0);
        report.followers.iter_mut().filter(|f| f.name == CONCERTS).for_each(|f| f.name = "counts.v0".into());
    }));
}

#[test]
fn a_halted_relay_comes_with_its_remedy_and_once() {
    let text = only(|report| {
        let (reason, remedy) = ("message 7 is foreign".to_owned(), "delete it".to_owned());
        report.relay.halted = Some(Halted { reason, remedy });
        report.relay.state = Some(RelayActivity::Halted);
        vacate(report, nats::LEASE);
        lagging(report, nats::LEASE, 100.0);
    });
    assert_eq!(text, "the relay is halted: message 7 is foreign -> delete it");
}

#[test]
fn an_office_is_missed_unless_it_is_being_elected_or_not_needed() {
    assert!(only(|report| vacate(report, saga::LEASE)).starts_with("no process does the work of the saga"));
    let attendant = only(|report| vacate(report, payments::due::LEASE));
    assert!(attendant.contains("payments' attendant"), "{attendant}");
    assert!(fine(|report| {
        vacate(report, payments::due::LEASE);
        report.payments.configured = Some(false);
    }));
    assert!(fine(|report| {
        vacate(report, saga::LEASE);
        let vitals = report.processes[0].vitals.as_mut();
        vitals.unwrap_or_else(|| panic!("no vitals")).started_at = at() - TimeDelta::seconds(1);
    }));
}

#[test]
fn money_in_trouble_is_told_with_the_reason() {
    let refund = |work: Work| move |report: &mut Report| drop(report.payments.work.insert("refund".to_owned(), work));
    let text = only(refund(Work { waiting: 3, failed: 1, worst: Some(failure(3)), ..Work::default() }));
    assert!(text.starts_with("1 of 3 refunds failed"), "{text}");
    assert!(text.contains("3 times, at last: the provider is down"), "{text}");
    let due_since = Some(at() - TimeDelta::seconds(40));
    let text = only(refund(Work { waiting: 2, due: 2, due_since, ..Work::default() }));
    assert!(text.starts_with("2 refunds should have been attended to 40 s ago"), "{text}");
    let text = only(|report| report.payments.breaker = Some(Breaker::Open));
    assert!(text.contains("breaker is open"), "{text}");
}

#[test]
fn a_projection_that_stands_still_is_told_with_its_reason() {
    let text = only(|report| {
        let vitals = report.processes[0].vitals.as_mut().unwrap_or_else(|| panic!("no vitals"));
        vitals.standstills.push(Standstill { projection: "mypage".into(), reason: "event 9 is poison".into() });
    });
    assert!(text.starts_with("mypage of box:4711 stands still: event 9 is poison"), "{text}");
}

#[test]
fn a_process_that_was_killed_is_missed() {
    let text = only(|report| report.processes.push(process(Uuid::from_u128(9), 40.0)));
    assert!(text.starts_with("box:4711 was last seen 40 s ago"), "{text}");
    // Where none is left that alone is said, whatever else follows from it.
    let text = only(|report| {
        report.processes = vec![process(Uuid::from_u128(9), 40.0)];
        vacate(report, saga::LEASE);
        lagging(report, saga::CHECKPOINT, 40.0);
    });
    assert!(text.starts_with("no process runs; box:4711 was last seen 40 s ago"), "{text}");
    assert!(only(|report| report.processes.clear()).starts_with("no process runs ->"));
}

#[test]
fn without_jetstream_the_rest_is_still_known() {
    let text = only(|report| {
        report.relay.unreachable = Some("NATS does not answer".to_owned());
        report.followers[0].lag_events = None;
        report.followers[0].lag_seconds = None;
    });
    assert!(text.contains("NATS does not answer") && text.contains("NATS_READER_URL"), "{text}");
}
