//! What is compared is the live copy, whichever that is; and what is parked is told instead.

use audit::verify::{Check, Verdict};
use projections::rebuild::{Job, journal, run_mypage, run_ticket_counts};
use rusqlite::Connection;

use crate::world::{World, assert_found, assert_only, assert_passes, checked};

/// Events of these logs.
const EVENTS: usize = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rebuild_the_new_copy_is_compared_and_not_the_one_that_is_kept() {
    let world = World::start().await;
    let sale = world.sell(EVENTS).await;
    world.derive().await;
    let end = world.journal.position().0;
    let (concert, booking) = (sale.concert.to_string(), sale.bookings[333].to_string());
    let held = |by: i64| format!("UPDATE ticket_counts_v1 SET held = held + {by} WHERE concert_id = '{concert}'");
    let qty = |by: i64| {
        let id = booking.replace('-', "");
        format!("UPDATE histories SET qty = qty + {by} WHERE booking_id = x'{id}'")
    };
    let histories = |sql: String| Connection::open(&world.mypage).unwrap().execute_batch(&sql).unwrap();

    // What is wrong stays behind in the copy that is kept.
    world.sql(&held(1)).await;
    histories(qty(1));
    assert_only(&world.verify().await, &[Check::TicketCounts, Check::Histories]);
    let pool = world.journal.pool();
    let job = || Job::new(pool.clone(), journal(pool.clone()));
    let counts = run_ticket_counts(job()).await.unwrap();
    let mypage = run_mypage(&world.mypage, job()).await.unwrap();
    assert_eq!((counts.switched, counts.differences), (true, 1), "{counts:?}");
    assert_eq!((mypage.switched, mypage.differences), (true, 1), "{mypage:?}");
    assert_passes(&world.verify().await);

    world.sql(&held(1)).await;
    histories(qty(1));
    let report = world.verify().await;
    assert_found(&report, Check::TicketCounts, end, &[&concert, "held"]);
    assert_found(&report, Check::Histories, end, &[&booking, "qty"]);
    assert_only(&report, &[Check::TicketCounts, Check::Histories]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_waits_behind_a_parked_event_is_told_and_not_compared() {
    let mut world = World::start().await;
    let sale = world.sell(EVENTS).await;
    let last = |of: &str| format!("SELECT max(position) FROM events WHERE payload::text LIKE '%{of}%'");
    let sold = world
        .number(&format!(
            "SELECT max(position) FROM events WHERE aggregate_id = '{}' AND event_type IN ('TicketsSold', 'TicketsReleased')",
            sale.concert
        ))
        .await;
    let booked =
        world.number(&format!("{} AND aggregate_type = 'booking'", last(&sale.bookings[333].to_string()))).await;
    world.sql(&format!("UPDATE events SET payload = '{{\"Nonsense\": 1}}' WHERE position IN ({sold}, {booked})")).await;
    // What is made from the log is made from what is stored, and not from what a process remembers.
    world.start_again().await;
    world.derive().await;
    let report = world.verify().await;
    for (check, position) in [(Check::TicketCounts, sold), (Check::Histories, booked)] {
        let checked = checked(&report, check);
        assert_eq!((&checked.verdict, checked.breaches), (&Verdict::Sound, 0), "{checked:?}");
        let told = format!("its event at position {position} is parked");
        assert!(checked.notes.iter().any(|note| note.contains(&told)), "{checked:?}");
        assert_found(&report, Check::Decode, position, &["Nonsense"]);
    }
}
