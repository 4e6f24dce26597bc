//! One log: what Postgres holds, what JetStream holds, and what the system says, agree.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::{FutureExt, future::join_all};

use crate::support::{Boxoffice, Log, assert_mirrored, assert_sound, messages, stream_state};

/// Bookings of the concert under test; more than it has tickets.
const BOOKINGS: usize = 40;

/// A concert of 30 with 40 bookings in all states, and its id.
async fn sold_concert(system: &Boxoffice) -> String {
    let concert = system.organizer().await.register_concert(30).await;
    let fans = system.fans(8).await;
    let answers = join_all((0..BOOKINGS).map(|n| {
        let (fan, concert) = (&fans[n % fans.len()], &concert);
        async move { (n, fan, fan.book(concert, 1).await) }
    }));
    let follow_up =
        answers.await.into_iter().filter(|(_, _, answer)| answer.is_success()).map(|(n, fan, answer)| async move {
            if n % 3 != 0 {
                fan.pays(&answer.text_at("/paymentId")).await;
            }
            if n % 4 == 0 {
                fan.cancel(&answer.text_at("/bookingId")).await.ok(200);
            }
        });
    join_all(follow_up).await;
    concert
}

#[tokio::test]
async fn the_stream_is_the_table_message_by_message() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    sold_concert(&system).await;
    let log = Log::settled(&postgres).await;
    assert!(log.last() > 200, "not much of a log: {}", log.last());
    assert_mirrored(&system, &postgres).await;
    let state = stream_state(&system).await;
    assert_eq!((state.messages, state.last_sequence), (log.0.len() as u64, log.last()));
    assert_eq!(messages(&system).await.last().unwrap().sequence, log.last());
}

#[tokio::test]
async fn the_counts_are_a_fold_of_the_log() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = sold_concert(&system).await;
    let log = Log::settled(&postgres).await;
    let shown = system.anonymous().get_at(&format!("/concerts/{concert}"), log.last()).await.ok(200);
    assert_eq!(shown.tickets(), log.fold().tickets(&concert));
    assert_eq!(log.concerts().count(), log.names_of(&concert).len());
    assert!(log.count("TicketsRefused") > 0 && log.count("TicketsReleased") > 0 && log.count("TicketsSold") > 0);
}

#[tokio::test]
async fn every_event_says_who_and_why() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let request = fan.request(reqwest::Method::POST, "/bookings").header("X-Request-Id", "the-first-request");
    let booked = fan.send(request.json(&serde_json::json!({"concertId": concert, "qty": 1}))).await.ok(201);
    assert_eq!(booked.header("x-request-id"), Some("the-first-request"));
    let log = Log::settled(&postgres).await;
    let mut in_its_chain = Vec::new();
    for entry in &log.0 {
        let metadata: serde_json::Value = serde_json::from_str(&entry.metadata).unwrap();
        for field in ["actor", "correlation", "causation"] {
            assert!(metadata[field].as_str().is_some_and(|text| !text.is_empty()), "{field} at {}", entry.position);
        }
        if metadata["correlation"].as_str().unwrap().contains("the-first-request") {
            in_its_chain.push((entry.event_type.as_str(), metadata["actor"].clone()));
        }
    }
    let names: Vec<&str> = in_its_chain.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["BookingRequested", "TicketsHeld", "PaymentRequested"]);
    assert_eq!(in_its_chain[0].1, format!("user:{}", fan.id));
    assert_eq!((&in_its_chain[1].1, &in_its_chain[2].1), (&"saga".into(), &"saga".into()));
}

/// The same log without the first event of this name, its numbers closed up again.
fn without(mut log: Log, event_type: &str) -> Log {
    let at = log.0.iter().position(|entry| entry.event_type == event_type).unwrap();
    let gone = log.0.remove(at);
    for entry in &mut log.0[at..] {
        entry.position -= 1;
        entry.sequence -= u64::from(entry.aggregate_id == gone.aggregate_id);
    }
    log
}

#[tokio::test]
async fn the_checks_of_these_tests_find_what_they_look_for() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(1).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 1).await.ok(201);
    fan.pays(&booked.text_at("/paymentId")).await;
    Log::settled(&postgres).await;
    for cause in [
        "BookingRequested",
        "TicketsHeld",
        "PaymentRequested",
        "PaymentAttempted",
        "PaymentApproved",
        "BookingApproved",
    ] {
        let broken = without(Log::read(&postgres).await, cause);
        assert!(catch_unwind(|| assert_sound(&broken)).is_err(), "a log without {cause} passes for sound");
    }
    let without_sale = without(Log::read(&postgres).await, "TicketsSold");
    assert_eq!(without_sale.fold().unsettled().len(), 1);
    let mut gap = Log::read(&postgres).await;
    gap.0.remove(0);
    assert!(catch_unwind(|| assert_sound(&gap)).is_err(), "a log with a gap passes for sound");

    // One letter of one event, changed behind everybody's back.
    sqlx::query("UPDATE events SET payload = replace(payload::text, 'Autumn', 'Autums')::json WHERE position > 1")
        .execute(&postgres)
        .await
        .unwrap();
    let compared = AssertUnwindSafe(assert_mirrored(&system, &postgres)).catch_unwind().await;
    assert!(compared.is_err(), "a changed event passes for mirrored");
}
