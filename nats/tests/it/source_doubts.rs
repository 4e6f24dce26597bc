//! A mirror that cannot be trusted is not followed.

use async_nats::jetstream::stream::{Config, Stream};
use futures::FutureExt;
use journal::{EventSource, Position, read_after};
use nats::{Feed, MirrorSource, STREAM, SUBJECTS, to_message};
use stack::testing::eventually;
use tokio::time::timeout;

use crate::support::{SOON, World, read_until};

/// Events 1 to 100 in Postgres, and those from `first` on in a stream from which can be deleted.
async fn lax_stream(world: &World, first: u64) -> Stream {
    world.append(100).await;
    let context = world.context().await;
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        first_sequence: Some(first),
        allow_direct: true,
        ..Config::default()
    };
    let stream = context.create_stream(config).await.unwrap();
    for event in read_after(world.journal.pool(), Position(first - 1), 100).await.unwrap() {
        let message = to_message(&event);
        context.publish_with_headers(message.subject, message.headers, message.payload).await.unwrap().await.unwrap();
    }
    stream
}

async fn source(world: &World, checkpoint: u64) -> MirrorSource {
    MirrorSource::new(world.journal.clone(), world.reader().await, "test", Position(checkpoint))
}

#[tokio::test]
async fn a_stream_that_does_not_go_back_far_enough_serves_from_where_it_begins() {
    let world = World::start().await;
    lax_stream(&world, 51).await;
    let mut early = source(&world, 20).await;
    read_until(&mut early, &world.journal, 100).await;
    assert_eq!(early.feed(), Feed::Postgres);
    let mut late = source(&world, 50).await;
    read_until(&mut late, &world.journal, 100).await;
    assert_eq!(late.feed(), Feed::Mirror);
}

#[tokio::test]
async fn a_gap_is_read_from_postgres() {
    let world = World::start().await;
    let stream = lax_stream(&world, 1).await;
    stream.delete_message(60).await.unwrap();
    let mut source = source(&world, 0).await;
    let mut feeds = Vec::new();
    while source.position() < Position(100) {
        let (at, max) = (source.position(), 1);
        let event = timeout(SOON, source.next(max)).await.expect("an event").unwrap().remove(0);
        assert_eq!(*event, world.row(at.0 + 1).await);
        feeds.push(source.feed());
    }
    assert_eq!(feeds[58], Feed::Mirror, "as far as 59");
    assert_eq!(feeds[59], Feed::Postgres, "60 is not in the stream");
}

#[tokio::test]
async fn a_message_that_is_not_the_event_is_never_handed_out() {
    let world = World::start().await;
    lax_stream(&world, 1).await;
    let mut source = source(&world, 0).await;
    read_until(&mut source, &world.journal, 100).await;
    assert_eq!(source.feed(), Feed::Mirror);
    let context = world.context().await;
    context.publish("boxoffice.events.booking.BookingApproved", "{}".into()).await.unwrap().await.unwrap();
    world.append(1).await;
    read_until(&mut source, &world.journal, 101).await;
    assert_eq!(source.feed(), Feed::Postgres);
}

#[tokio::test]
async fn what_postgres_does_not_have_is_never_handed_out() {
    let mut world = World::start().await;
    lax_stream(&world, 1).await;
    world.restore_backup_of(90).await;
    let mut ahead = source(&world, 85).await;
    read_until(&mut ahead, &world.journal, 90).await;
    assert_eq!(ahead.feed(), Feed::Postgres);
    assert!(ahead.next(1).now_or_never().is_none());
    // Positions 91 to 95 are other events now.
    world.append(5).await;
    read_until(&mut ahead, &world.journal, 95).await;
    // Nor does it help that Postgres has as many again.
    world.append(15).await;
    let mut other = source(&world, 92).await;
    read_until(&mut other, &world.journal, 110).await;
    assert_eq!(other.feed(), Feed::Postgres);
    read_until(&mut ahead, &world.journal, 110).await;
}

#[tokio::test]
async fn an_event_that_comes_before_postgres_has_it_waits() {
    let world = World::start().await;
    lax_stream(&world, 1).await;
    let mut source = source(&world, 0).await;
    read_until(&mut source, &world.journal, 100).await;
    assert_eq!(source.feed(), Feed::Mirror);
    let mut next = world.row(100).await;
    next.position = Position(101);
    let message = to_message(&next);
    let context = world.context().await;
    context.publish_with_headers(message.subject, message.headers, message.payload).await.unwrap().await.unwrap();
    eventually("the mirror to be left", SOON, || {
        // Asked again and again: cancelling does not start the wait anew.
        assert!(source.next(1).now_or_never().is_none(), "Postgres does not have it");
        let left = source.feed() == Feed::Postgres;
        async move { left }
    })
    .await;
    assert_eq!(source.position(), Position(100));
    world.append(1).await;
    read_until(&mut source, &world.journal, 101).await;
}
