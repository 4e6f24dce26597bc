//! The stream dropped and filled again, read alone, and asked what Postgres lost.

use journal::{EventSource, Position};
use nats::{Parting, STREAM, StreamSource, parting, read_lost, refill};

use crate::support::World;

#[tokio::test]
async fn the_elected_relay_fills_what_was_dropped_while_more_is_appended() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(3_000).await;
    relay.reached(Position(3_000)).await;
    let client = world.client().await;
    let (mut seen, journal) = (Vec::new(), world.journal.clone());
    let (refilled, ()) =
        tokio::join!(refill(&journal, &client, |at, target| seen.push((at, target))), world.append(500));
    let refilled = refilled.unwrap();
    assert!(refilled.by_the_relay, "{refilled:?}");
    assert_eq!(refilled.agreement.first, Position(1));
    assert!(seen.last().is_some_and(|(at, target)| at >= target && *target >= Position(3_000)), "{seen:?}");
    relay.reached(Position(3_500)).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

#[tokio::test]
async fn where_no_relay_is_elected_it_is_filled_all_the_same() {
    let world = World::start().await;
    world.append(1_500).await;
    let client = world.client().await;
    let refilled = refill(&world.journal, &client, |_, _| {}).await.unwrap();
    assert!(!refilled.by_the_relay && refilled.agreement.last == Position(1_500), "{refilled:?}");
    world.assert_mirrored().await;
    // The office is free again.
    let mut relay = world.relay().await;
    world.append(10).await;
    relay.reached(Position(1_510)).await;
    relay.stop().await;
}

#[tokio::test]
async fn the_stream_alone_hands_out_the_log_or_says_what_is_wrong() {
    let world = World::start().await;
    world.append(300).await;
    let mut relay = world.relay().await;
    relay.reached(Position(300)).await;
    relay.stop().await;
    let mut source = StreamSource::new(world.reader().await, Position(0));
    source.seek(Position(40));
    while source.position() < Position(300) {
        for event in source.next(64).await.unwrap() {
            assert_eq!(*event, world.row(event.position.0).await);
        }
    }
    world.context().await.publish("boxoffice.events.concert.TicketsHeld", "{}".into()).await.unwrap().await.unwrap();
    let error = source.next(64).await.unwrap_err();
    assert!(error.to_string().contains("message 301"), "{error}");
    world.context().await.delete_stream(STREAM).await.unwrap();
    let error = StreamSource::new(world.reader().await, Position(0)).next(1).await.unwrap_err();
    assert!(error.to_string().contains("there is no stream"), "{error}");
}

#[tokio::test]
async fn what_only_the_stream_has_is_found_also_where_postgres_went_on() {
    let mut world = World::start().await;
    world.append(200).await;
    let mut relay = world.relay().await;
    relay.reached(Position(200)).await;
    relay.stop().await;
    let reader = world.reader().await;
    let find = async |world: &World| parting(&reader, world.journal.pool()).await.unwrap();
    let at = |journal, mirror, agreed| Parting {
        journal: Position(journal),
        mirror: Position(mirror),
        agreed: Position(agreed),
    };
    assert_eq!(find(&world).await, at(200, 200, 200));
    world.append(5).await;
    let ahead = find(&world).await;
    assert_eq!((ahead, ahead.lost(), ahead.appended_since()), (at(205, 200, 200), 0, 0));

    world.restore_backup_of(117).await;
    let lost = find(&world).await;
    assert_eq!((lost, lost.lost(), lost.appended_since()), (at(117, 200, 117), 83, 0));
    let mut positions = Vec::new();
    read_lost(&reader, lost, |event| {
        positions.push(event.position.0);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(positions, (118..=200).collect::<Vec<_>>());

    for (more, journal) in [(30, 147), (100, 247)] {
        world.append(more).await;
        let parted = find(&world).await;
        assert_eq!((parted, parted.lost()), (at(journal, 200, 117), 83));
        assert_eq!(parted.appended_since(), journal - 117);
    }
}
