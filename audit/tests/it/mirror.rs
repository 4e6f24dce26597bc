//! The mirror behind everybody's back: a message that is missing, one that is another, one too many.

use async_nats::jetstream::{
    self,
    stream::{Config, Stream},
};
use audit::verify::Check;
use journal::{Position, RecordedEvent, read_after};
use nats::{Outgoing, STREAM, SUBJECTS, connect, to_message};

use crate::world::{World, assert_found, assert_only, assert_passes};

/// Events of these logs.
const EVENTS: usize = 1_500;

/// Makes the stream anew, of the log's events as `forge` has them.
async fn forged(world: &World, forge: impl Fn(&RecordedEvent) -> Option<Outgoing>) -> Stream {
    let context = jetstream::new(connect(&world.nats.url(), "forger").await.unwrap());
    context.delete_stream(STREAM).await.unwrap();
    let config = Config { name: STREAM.to_owned(), subjects: vec![SUBJECTS.to_owned()], ..Config::default() };
    let stream = context.create_stream(config).await.unwrap();
    for event in read_after(world.journal.pool(), Position(0), usize::MAX).await.unwrap() {
        if let Some(Outgoing { subject, headers, payload }) = forge(&event) {
            context.publish_with_headers(subject, headers, payload).await.unwrap().await.unwrap();
        }
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_missing_or_another_is_found_and_named() {
    let world = World::start().await;
    world.sell(EVENTS).await;
    world.derive().await;
    let head = world.journal.position().0;
    let as_it_is = |event: &RecordedEvent| Some(to_message(event));

    let stream = forged(&world, as_it_is).await;
    assert_passes(&world.verify().await);
    stream.delete_message(700).await.unwrap();
    stream.delete_message(head).await.unwrap();
    let report = world.verify().await;
    for position in [700, head] {
        assert_found(&report, Check::Mirror, position, &["expected a message", "it is missing"]);
    }
    assert_only(&report, &[Check::Mirror]);

    forged(&world, |event| {
        let mut event = event.clone();
        if event.position.0 == 800 {
            event.payload = event.payload.replacen("Id\":\"", "Id\":\"f", 1).into();
        }
        if event.position.0 == 801 {
            event.metadata = "{}".into();
        }
        Some(to_message(&event))
    })
    .await;
    let report = world.verify().await;
    assert_found(&report, Check::Mirror, 800, &["its body", "Id\":\"f"]);
    assert_found(&report, Check::Mirror, 801, &["Boxoffice-Metadata"]);
    assert_only(&report, &[Check::Mirror]);

    let stream = forged(&world, as_it_is).await;
    stream.purge().sequence(100).await.unwrap();
    assert_found(&world.verify().await, Check::Mirror, 1, &["it is missing"]);

    // Ahead of the log, which was restored from a backup, or written to by somebody else.
    forged(&world, as_it_is).await;
    world.sql(&format!("DELETE FROM events WHERE position = {head}")).await;
    world.sql("UPDATE journal_head SET position = position - 1").await;
    assert_found(&world.verify().await, Check::Mirror, head, &["the log ends at", "found a message"]);
}
