//! Following the log in the mirror, and in Postgres while the mirror is away.

use futures::FutureExt;
use journal::{EventSource, Position, ReadError};
use nats::{Feed, MirrorSource};
use stack::testing::eventually;

use crate::support::{Running, SOON, World, read_until};

/// A world with `count` events in the mirror, and a source with nothing but a reader's credentials.
async fn mirrored(count: usize, checkpoint: u64) -> (World, Running, MirrorSource) {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(count).await;
    relay.reached(world.journal.position()).await;
    let source = MirrorSource::new(world.journal.clone(), world.reader().await, "test", Position(checkpoint));
    (world, relay, source)
}

/// Appends and reads until the mirror serves again.
async fn back_in_the_mirror(world: &World, source: &mut MirrorSource) {
    let start = std::time::Instant::now();
    while source.feed() != Feed::Mirror {
        assert!(start.elapsed() < SOON, "waited for the mirror to serve again, in vain");
        world.append(1).await;
        read_until(source, &world.journal, world.journal.position().0).await;
    }
}

#[tokio::test]
async fn it_begins_after_its_checkpoint_and_reads_the_mirror() {
    let (world, relay, mut source) = mirrored(1_500, 700).await;
    let events = read_until(&mut source, &world.journal, 1_500).await;
    assert_eq!((events[0].position, events.len()), (Position(701), 800));
    world.append(20).await;
    read_until(&mut source, &world.journal, 1_520).await;
    assert_eq!(source.feed(), Feed::Mirror);
    relay.stop().await;
}

#[tokio::test]
async fn it_goes_elsewhere_when_told_to() {
    let (world, relay, mut source) = mirrored(300, 0).await;
    read_until(&mut source, &world.journal, 200).await;
    for place in [50, 250, 0] {
        source.seek(Position(place));
        assert_eq!(source.position(), Position(place));
        let events = read_until(&mut source, &world.journal, 300).await;
        assert_eq!(events[0].position, Position(place + 1));
    }
    assert_eq!(source.feed(), Feed::Mirror);
    relay.stop().await;
}

#[tokio::test]
async fn cancelling_loses_nothing() {
    let (world, relay, mut source) = mirrored(1_000, 0).await;
    let mut at = 0;
    while at < 1_000 {
        // Polled once and dropped, however far it was.
        if let Some(events) = source.next(7).now_or_never() {
            for event in events.unwrap() {
                at += 1;
                assert_eq!(event.position, Position(at));
            }
        }
        assert_eq!(source.position(), Position(at));
        tokio::task::yield_now().await;
    }
    assert_eq!(source.feed(), Feed::Mirror);
    drop(world);
    relay.task.abort();
}

#[tokio::test]
async fn nats_may_go_and_come_back() {
    let (world, relay, mut source) = mirrored(100, 0).await;
    read_until(&mut source, &world.journal, 100).await;
    assert_eq!(source.feed(), Feed::Mirror);
    world.nats.kill().await.unwrap();
    world.append(300).await;
    read_until(&mut source, &world.journal, 400).await;
    assert_eq!(source.feed(), Feed::Postgres);
    world.nats.start_again().await.unwrap();
    back_in_the_mirror(&world, &mut source).await;
    relay.stop().await;
}

#[tokio::test]
async fn nats_may_be_away_from_the_start() {
    let (world, relay, _) = mirrored(100, 0).await;
    let client = world.reader().await;
    world.nats.kill().await.unwrap();
    eventually("the client to see it", SOON, || async {
        client.connection_state() != async_nats::connection::State::Connected
    })
    .await;
    let mut source = MirrorSource::new(world.journal.clone(), client, "test", Position(0));
    read_until(&mut source, &world.journal, 100).await;
    assert_eq!(source.feed(), Feed::Postgres);
    world.nats.start_again().await.unwrap();
    back_in_the_mirror(&world, &mut source).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_behind_the_checkpoint_is_left_until_it_is_filled_again() {
    let (world, relay, mut source) = mirrored(100, 0).await;
    read_until(&mut source, &world.journal, 100).await;
    relay.stop().await;
    // Nobody refills it.
    world.lose_storage(None).await;
    world.append(50).await;
    read_until(&mut source, &world.journal, 150).await;
    assert_eq!(source.feed(), Feed::Postgres);
    let relay = world.relay().await;
    back_in_the_mirror(&world, &mut source).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_checkpoint_that_postgres_does_not_reach_is_an_error() {
    let (world, relay, mut source) = mirrored(10, 11).await;
    let refused = source.next(1).await;
    assert!(matches!(refused, Err(ReadError::Missing(Position(11)))), "{refused:?}");
    world.append(2).await;
    read_until(&mut source, &world.journal, 12).await;
    relay.stop().await;
}
