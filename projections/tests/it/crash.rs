//! Whatever is cut short, wherever, effect and checkpoint stay together.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use journal::Position;
use projections::{BookingHistory, MyPage, Projection, TicketCounts};
use tokio_util::sync::CancellationToken;

use crate::{
    sources::Small,
    world::{World, assert_counts, catch_up, runner},
};

/// A runner's start and its first batches take about this many polls.
const STEPS: u32 = 20;
/// Far more polls than the whole log takes.
const CUTS_MAX: u32 = 2_000;

/// Polls `work` so many times, and then drops it where it stands.
async fn cut_short<T>(work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut work = pin!(work);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Runs `projection` until it was polled so many times, and drops it in the middle of whatever it is doing.
async fn run_cut_short<P: Projection>(world: &World, projection: P, polls: u32) -> Position {
    let progress = projection.progress().clone();
    let (stop, source) = (CancellationToken::new(), Box::new(Small(world.journal.follow(Position(0)), 2)));
    let mut changes = progress.changes();
    let caught_up = changes.wait_for(|at| *at >= world.journal.position());
    let runner = runner(projection, source, world.journal.pool().clone()).run(stop);
    tokio::select! {
        ended = cut_short(runner, polls) => assert!(ended.is_none(), "the runner stopped by itself: {ended:?}"),
        _ = caught_up => {}
    }
    progress.position()
}

/// Cuts a runner short after `step` polls, the next one after twice as many and so on, until one gets to the end.
async fn run_with_cuts<P: Projection>(world: &World, step: u32, open: impl AsyncFn() -> P) {
    for cut in 1..=CUTS_MAX {
        if run_cut_short(world, open().await, step * cut).await >= world.journal.position() {
            return;
        }
    }
    panic!("{CUTS_MAX} cuts, and still not at the end");
}

#[tokio::test]
async fn counts_survive_a_runner_that_is_cut_short_at_every_await() {
    let mut world = World::new(23).await;
    world.history(3).await;
    for step in 1..=STEPS {
        run_with_cuts(&world, step, async || TicketCounts::open(world.journal.pool().clone()).await.unwrap()).await;
        assert_counts(&world).await;
        for sql in ["UPDATE checkpoints SET position = 0", "TRUNCATE ticket_counts_v1"] {
            sqlx::query(sql).execute(world.journal.pool()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn histories_survive_a_runner_that_is_cut_short_at_every_await() {
    async fn all(path: &std::path::Path) -> Vec<BookingHistory> {
        let (mypage, _writer) = MyPage::open(path).await.unwrap();
        mypage.histories(None, 200, None).await.unwrap()
    }
    let mut world = World::new(29).await;
    world.history(3).await;
    let dir = tempfile::tempdir().unwrap();
    let at_once = dir.path().join("at-once.db");
    catch_up(&world.journal, MyPage::open(&at_once).await.unwrap().1).await;
    let expected = all(&at_once).await;
    assert!(expected.len() > 20);
    for step in 1..=STEPS {
        let path = dir.path().join(format!("{step}.db"));
        run_with_cuts(&world, step, async || MyPage::open(&path).await.unwrap().1).await;
        assert_eq!(all(&path).await, expected);
    }
}
