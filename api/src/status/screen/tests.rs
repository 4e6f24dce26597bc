//! What people see.

use chrono::TimeDelta;
use uuid::Uuid;

use super::*;
use crate::status::{
    money::Cancellation,
    sample::{at, failure, judged, process, report},
};

const PLAIN: Screen = Screen { coloured: false, columns: None };

#[test]
fn a_system_at_work_is_one_short_screen() {
    let expected = "\
ok         nothing is wrong, 2024-10-04 00:00:00 UTC

journal    1,234 events, the last 3.0 s ago; 2.5/s over 10 s
holds      3 deadlines to come, none overdue; 0 due now, 1 within a minute
payments   breaker closed, 2 refunds
cache      98.5 % of 200 look-ups found, 7 aggregates held
parked     nothing

follower          behind   age   position   run by
relay                  0     -      1,234   box:4711, live
payment-work.v1        0     -      1,234   box:4711
saga                   0     -      1,234   box:4711
concerts               0     -      1,234   box:4711, 0.5 s ago
mypage                 0     -      1,234   box:4711, 0.5 s ago

process    listens on       version      up   cache hits   last seen
box:4711   127.0.0.1:8080   0.1.0     3 min       98.5 %   0.5 s ago";
    assert_eq!(PLAIN.lines(&judged(report())).join("\n"), expected);
}

#[test]
fn what_is_wrong_stands_first_with_what_to_do() {
    let mut troubled = report();
    troubled.processes.push(process(Uuid::from_u128(9), 40.0));
    troubled.payments.breaker = Some(Breaker::Open);
    let lines = PLAIN.lines(&judged(troubled.clone()));
    assert!(lines[0].starts_with("wrong      2 troubles at 2024-10-04"), "{lines:?}");
    assert!(lines[1].contains("breaker is open") && lines[2].contains("-> "), "{lines:?}");
    assert!(lines[3].contains("was last seen 40 s ago") && lines[4].contains("-> "), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("payments   breaker open")), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.ends_with("40 s ago")), "{lines:?}");
    let narrow = Screen { columns: Some(60), ..PLAIN }.lines(&judged(troubled));
    let (verdict, _) = narrow.split_at(narrow.iter().position(String::is_empty).unwrap_or_default());
    assert!(verdict.len() > 5 && verdict.iter().all(|line| line.len() <= 60), "{verdict:?}");
}

#[test]
fn what_is_not_known_is_not_made_up() {
    let mut unknown = report();
    unknown.holds = None;
    unknown.journal.recorded_at = None;
    unknown.processes.clear();
    unknown.payments.configured = None;
    unknown.payments.breaker = None;
    let relay = &mut unknown.followers[0];
    (relay.position, relay.lag_events, relay.lag_seconds) = (None, None, None);
    let text = PLAIN.lines(&unknown).join("\n");
    for shown in ["nothing has happened yet", "holds      ?", "breaker ?"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let relay = text.lines().find(|line| line.starts_with("relay")).unwrap_or_default();
    assert_eq!(relay.split_whitespace().filter(|cell| *cell == "?").count(), 3, "{relay}");
}

#[test]
fn concerts_that_are_called_off_show_how_far_that_is() {
    let cancellation = |name: Option<&str>, canceled, finished_at| Cancellation {
        concert_id: Uuid::from_u128(3),
        name: name.map(str::to_owned),
        bookings: 20_000,
        canceled,
        released: canceled - 1_000,
        started_at: at() - TimeDelta::seconds(30),
        finished_at,
    };
    let mut report = report();
    let ended = Some(at() - TimeDelta::seconds(10));
    report.concert_cancellations = vec![cancellation(Some("가을밤"), 5_000, None), cancellation(None, 20_000, ended)];
    report.concert_cancellations[1].released = 20_000;
    let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = PLAIN.lines(&report).iter().map(words).collect::<Vec<_>>().join("\n");
    let expected = "\
concert called off cancelled free again took
가을밤 5,000/20,000 25.0 % 4,000/20,000 20.0 % 30 s under way
00000000-0000-0000-0000-000000000003 20,000/20,000 100 % 20,000/20,000 100 % 20 s through";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn work_that_failed_is_counted() {
    let mut report = report();
    let refunds = report.payments.work.entry("refund".to_owned()).or_default();
    (refunds.failed, refunds.worst) = (1, Some(failure(1)));
    let text = PLAIN.lines(&report).join("\n");
    assert!(text.contains("breaker closed, 2 refunds (1 tried in vain)"), "{text}");
}

#[test]
fn colours_are_only_where_they_are_wanted() {
    let report = judged(report());
    assert!(!PLAIN.lines(&report).join("").contains('\u{1b}'));
    let coloured = Screen { coloured: true, columns: None }.lines(&report);
    assert!(coloured[0].starts_with("\u{1b}[32m"), "{coloured:?}");
    let seen: Vec<_> = coloured.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
    assert_eq!(seen, PLAIN.lines(&report));
}

#[test]
fn what_is_parked_or_being_rebuilt_is_told() {
    let mut troubled = report();
    let first = projections::Parked {
        position: journal::Position(20),
        aggregate: aggregates::AggregateType::Concert,
        aggregate_id: Uuid::from_u128(3),
        event_type: "TicketsHeld".to_owned(),
        error: "no quantity".to_owned(),
        attempts: 2,
        waiting: 5,
        parked_at: at(),
    };
    let events = crate::vitals::ParkedEvents { projection: "ticket-counts".to_owned(), count: 1, first: vec![first] };
    troubled.parked = vec![crate::status::report::ParkedIn { process: None, events }];
    troubled.rebuilds = vec![crate::status::report::Rebuild {
        projection: "mypage".to_owned(),
        place: Some("mypage.db".to_owned()),
        generation: 2,
        phase: "loading".to_owned(),
        position: journal::Position(500),
        target: journal::Position(1_000),
        seconds: 1.0,
        told_seconds_ago: 60.0,
    }];
    let lines = PLAIN.lines(&judged(troubled));
    let text = lines.join("\n");
    for part in [
        "1 event cannot be projected into ticket-counts; the first is TicketsHeld at position 20, of concert",
        "after 2 attempts, with 5 events behind it: no quantity",
        "nothing was heard for 60 s of the rebuild of mypage (generation 2, loading)",
        "parked     1 event",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let rebuild = lines.iter().find(|line| line.starts_with("mypage ") && line.contains("loading")).map(String::as_str);
    assert_eq!(rebuild, Some("mypage                   2   loading   50.0 %        500   1.0 s   mypage.db"));
}
