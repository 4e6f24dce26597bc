//! A stream that contradicts the journal halts the relay, which says what it found and what to do.

use async_nats::HeaderMap;
use journal::Position;
use nats::{AgreementError, Divergence, Halt, RelayState, STREAM, compare, to_message};
use stack::testing::eventually;

use crate::support::{SOON, World};

async fn forge(world: &World, subject: &'static str) -> u64 {
    let acknowledged = world.context().await.publish(subject, "{}".into()).await.unwrap().await.unwrap();
    acknowledged.sequence
}

#[tokio::test]
async fn a_foreign_message_is_found_while_nothing_is_appended_and_named() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(5).await;
    relay.reached(Position(5)).await;
    let sequence = forge(&world, "boxoffice.events.concert.TicketsHeld").await;
    let halt = relay.halted().await;
    assert_eq!(sequence, 6);
    assert!(halt.contains("message is 6 (boxoffice.events.concert.TicketsHeld)"), "{halt}");
    assert!(halt.contains("delete the stream"), "{halt}");
    // What is appended now is not published any more.
    world.append(5).await;
    relay.stop().await;
    assert_eq!(world.stream().await.cached_info().state.last_sequence, 6);
}

#[tokio::test]
async fn a_foreign_message_in_the_way_of_an_event_is_found_and_nothing_follows_it() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(5).await;
    relay.reached(Position(5)).await;
    relay.stop().await;
    forge(&world, "boxoffice.events.payment.PaymentApproved").await;
    world.append(5).await;
    let mut relay = world.relay().await;
    let halt = relay.halted().await;
    assert!(halt.contains("message 6 (boxoffice.events.payment.PaymentApproved) is not the event"), "{halt}");
    assert_eq!(world.stream().await.cached_info().state.last_sequence, 6);
    relay.stop().await;
}

#[tokio::test]
async fn halted_is_halted_until_it_is_started_anew() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(5).await;
    relay.reached(Position(5)).await;
    forge(&world, "boxoffice.events.x.Y").await;
    relay.halted().await;
    world.context().await.delete_stream(STREAM).await.unwrap();
    // Another one starts, does as it was told, and the halted one stays out of it.
    let mut second = world.relay().await;
    second.reached(Position(5)).await;
    world.assert_mirrored().await;
    assert!(matches!(relay.status.borrow().state, RelayState::Halted(_)));
    relay.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_stream_ahead_of_postgres_is_not_written_to() {
    let mut world = World::start().await;
    let mut relay = world.relay().await;
    world.append(20).await;
    relay.reached(Position(20)).await;
    relay.stop().await;
    world.restore_backup_of(12).await;
    let mut relay = world.relay().await;
    let halt = relay.halted().await;
    assert!(halt.contains("ahead of Postgres: its last message is 20"), "{halt}");
    assert!(halt.contains("the journal ends at 12"), "{halt}");
    // Nor once Postgres has as many again: they are others.
    relay.stop().await;
    world.append(8).await;
    let mut relay = world.relay().await;
    let halt = relay.halted().await;
    assert!(halt.contains("message 20 (boxoffice.events.booking.BookingRequested) is not the event"), "{halt}");
    assert!(halt.contains("its aggregate id"), "{halt}");
    relay.stop().await;
}

#[tokio::test]
async fn every_part_of_the_last_message_is_compared() {
    let world = World::start().await;
    world.append(1).await;
    let event = world.row(1).await;
    let ours = to_message(&event);
    let with = |name: &'static str, value: &'static str| {
        let mut headers: HeaderMap = ours.headers.clone();
        headers.insert(name, value);
        headers
    };
    let subject = || ours.subject.to_string();
    let cases = [
        (
            "its subject",
            "boxoffice.events.booking.BookingApproved".to_owned(),
            ours.headers.clone(),
            ours.payload.clone(),
        ),
        ("its body", subject(), ours.headers.clone(), "{}".into()),
        ("its sequence", subject(), with("Boxoffice-Sequence", "2"), ours.payload.clone()),
        ("its aggregate id", subject(), with("Boxoffice-Aggregate-Id", "x"), ours.payload.clone()),
    ];
    let context = world.context().await;
    for (wanted, subject, headers, payload) in cases {
        let stream = nats::ensure_stream(&context, nats::StreamOptions::default()).await.unwrap();
        // The server may still hand it to the stream that was just deleted, which refuses it.
        eventually("the new stream to take it", SOON, || async {
            let sent = context.publish_with_headers(subject.clone(), headers.clone(), payload.clone()).await.unwrap();
            // It may have been taken, and only the word of it have been late: then it would be refused for ever.
            sent.await.is_ok() || stream.get_info().await.is_ok_and(|info| info.state.last_sequence == 1)
        })
        .await;
        let found = compare(&stream, &world.journal).await.unwrap_err();
        let AgreementError::Diverged(Divergence::Mismatch { sequence: 1, differs, .. }) = found else {
            panic!("{found}")
        };
        assert_eq!(differs, wanted);
        context.delete_stream(STREAM).await.unwrap();
    }
    let halt = Halt { reason: "a".to_owned(), remedy: "b" };
    assert_eq!(halt.to_string(), "a; b");
}
