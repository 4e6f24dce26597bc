//! The stream becomes, and stays, a copy of the log.

use std::{sync::Arc, time::Duration};

use journal::Position;
use nats::{Relay, RelayState, StreamOptions};
use tokio_util::sync::CancellationToken;

use crate::support::{SOON, World, append, copy_dir, open};

#[tokio::test]
async fn what_is_appended_comes_into_the_stream_in_order() {
    let world = World::start().await;
    world.append(300).await;
    let mut relay = world.relay().await;
    relay.reached(Position(300)).await;
    world.append(1).await;
    world.append(2_000).await;
    relay.reached(world.journal.position()).await;
    relay.state("it to be live", |state| *state == RelayState::Live).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events_are_the_same_byte_for_byte() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(100_000).await;
    relay.reached(Position(100_000)).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_may_be_killed_in_the_middle_and_appends_go_on() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    let stop = CancellationToken::new();
    let appender = tokio::spawn({
        let (journal, stop) = (world.journal.clone(), stop.clone());
        async move {
            while !stop.is_cancelled() {
                append(&journal, 50).await;
            }
        }
    });
    for _ in 0..2 {
        let before = relay.status.borrow().position;
        relay.reached(Position(before.0 + 1_000)).await;
        world.nats.kill().await.unwrap();
        let down_at = world.journal.position();
        tokio::time::timeout(SOON, world.journal.reached(Position(down_at.0 + 500))).await.expect("appends go on");
        relay.state("it to see that", |state| *state == RelayState::Disconnected).await;
        world.nats.start_again().await.unwrap();
    }
    stop.cancel();
    appender.await.unwrap();
    relay.reached(world.journal.position()).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_that_was_wiped_is_filled_again_though_nothing_is_appended() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(3_000).await;
    relay.reached(Position(3_000)).await;
    world.lose_storage(None).await;
    relay.state("it to see that", |state| *state != RelayState::Live).await;
    relay.reached_again(Position(3_000)).await;
    world.assert_mirrored().await;
    world.append(10).await;
    relay.reached(Position(3_010)).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_tail_that_was_cut_grows_again() {
    let world = World::start().await;
    let backup = tempfile::tempdir().unwrap();
    let mut relay = world.relay().await;
    world.append(1_000).await;
    relay.reached(Position(1_000)).await;
    world.nats.stop().await.unwrap();
    copy_dir(&world.nats.store_dir(), backup.path());
    world.nats.start_again().await.unwrap();
    world.append(700).await;
    relay.reached(Position(1_700)).await;
    world.lose_storage(Some(backup.path())).await;
    crate::support::stream_ends_at(&world, 1_700).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_do_not_come_say_nothing_about_their_messages() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(100).await;
    relay.reached(Position(100)).await;
    // It hangs with messages on their way, which it takes once it goes on: late, and beside those of the next session.
    signal(&world, "-STOP");
    world.append(2_000).await;
    relay.state("it to give up on them", |state| *state != RelayState::Live).await;
    world.append(2_000).await;
    signal(&world, "-CONT");
    relay.reached(Position(4_100)).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

fn signal(world: &World, signal: &str) {
    let pid = world.nats.pid().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_that_publish_at_once_write_one_message_a_position() {
    let world = Arc::new(World::start().await);
    let stop = CancellationToken::new();
    let (mut tasks, mut statuses) = (tokio::task::JoinSet::new(), Vec::new());
    for _ in 0..3 {
        // Each as in a process of its own, and none elected.
        let relay = Relay::new(open(&world.postgres).await, world.client().await, StreamOptions::default());
        statuses.push(relay.status());
        let stop = stop.clone();
        tasks.spawn(async move { relay.publish(&stop).await });
    }
    for _ in 0..10 {
        world.append(500).await;
    }
    for status in &mut statuses {
        let reached = status.wait_for(|status| status.position == Position(5_000));
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await.map(|_| ());
        reached.unwrap_or_else(|_| panic!("{:?}", *status.borrow()));
    }
    stop.cancel();
    tasks.join_all().await;
    world.assert_mirrored().await;
}
