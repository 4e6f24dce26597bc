//! What is made from the log is compared at its own place, wherever that is; and what is under way is no breach.

use audit::verify::{Check, Verdict};

use crate::world::{World, assert_passes, checked, size};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_made_by_the_product_passes() {
    let world = World::start().await;
    let sale = world.sell(size()).await;
    world.derive().await;
    assert!(world.paid(&sale.bookings[..200]).await > 20, "hardly anything was sold");
    let report = world.verify().await;
    assert_passes(&report);
    let head = world.journal.position();
    assert_eq!((report.position, report.events), (head, head.0));
    assert_eq!(world.scan().await, head.0);
    for check in [Check::Order, Check::Decode, Check::Origin, Check::Transitions, Check::Mirror] {
        assert_eq!(checked(&report, check).count, head.0, "{check:?}");
    }
    let histories = world.number("SELECT count(*) FROM events WHERE event_type = 'BookingRequested'").await;
    let erased = sale.bookings.iter().enumerate().filter(|(n, _)| n % 1_000 % sale.fans.len() == 1).count() as u64;
    assert_eq!(checked(&report, Check::Histories).count, histories - erased, "those of the erased user are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_the_log_is_compared_where_it_stands() {
    let world = World::start().await;
    world.sell(4_000).await;
    world.derive().await;
    world.sell(6_000).await;
    let report = world.verify().await;
    assert_passes(&report);
    let mirror = checked(&report, Check::Mirror);
    assert!(mirror.count < report.events && mirror.notes[0].contains("the mirror is behind"), "{mirror:?}");
    let seals = checked(&report, Check::Seals);
    assert!(seals.notes.iter().any(|note| note.contains("are not sealed yet")), "{seals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_seen_is_said_and_what_is_not_asked_for_is_left_out() {
    let world = World::start().await;
    world.sell(1_000).await;
    let report = world.verify().await;
    assert!(report.sound && !report.complete);
    for check in [Check::Mirror, Check::Histories] {
        let verdict = &checked(&report, check).verdict;
        assert!(matches!(verdict, Verdict::Unseen(_)), "{check:?}: {verdict:?}");
    }
    let mut subject = world.subject();
    (subject.nats_url, subject.mypage) = (None, None);
    let report = audit::verify::verify(&subject, Vec::new(), std::sync::Arc::default()).await.unwrap();
    assert!(report.sound && report.complete);
    for check in [Check::TicketCounts, Check::Seals] {
        assert!(matches!(checked(&report, check).verdict, Verdict::Skipped(_)), "{check:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_saga_has_not_come_past_is_no_breach_and_what_it_has_is() {
    let world = World::start().await;
    world.sell(1_000).await;
    world.derive().await;
    let booked = world.number("SELECT count(*) FROM events WHERE event_type = 'BookingRequested'").await;
    // A booking that nobody has reacted to yet.
    world.sql("INSERT INTO checkpoints (name, position) VALUES ('other', 0)").await;
    let request = world.number("SELECT position FROM events WHERE event_type = 'TicketsHeld' ORDER BY 1 LIMIT 1").await;
    world.sql(&format!("UPDATE checkpoints SET position = {request} WHERE name = 'saga'")).await;
    let report = world.verify().await;
    assert_passes(&report);
    let follow_ups = checked(&report, Check::FollowUps);
    assert_eq!(follow_ups.count, booked);
    assert!(follow_ups.notes[0].contains("under way"), "{follow_ups:?}");
}
