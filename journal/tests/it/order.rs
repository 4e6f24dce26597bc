//! Two processes' worth of writers at once: positions are commit order, and no reader ever sees a hole.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aggregates::Booking;
use journal::{Position, read_after};
use uuid::Uuid;

use crate::support::{World, all, assert_gapless, metadata, open, request};

const WRITERS: usize = 16;
const APPENDS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_no_gap_and_no_reordering_while_two_processes_append() {
    let world = World::start().await;
    let other = open(&world.postgres.url()).await;
    let done = Arc::new(AtomicBool::new(false));

    // A reader that only knows SQL: each of its reads must go on where the last one ended.
    let reader = tokio::spawn({
        let (pool, done) = (other.pool().clone(), Arc::clone(&done));
        async move {
            let (mut at, mut reads) = (Position(0), 0);
            loop {
                let last_round = done.load(Ordering::Acquire);
                for event in read_after(&pool, at, 1_000).await.unwrap() {
                    assert_eq!(event.position, at.next(), "a hole was visible");
                    at = event.position;
                }
                reads += 1;
                if last_round {
                    return (at, reads);
                }
            }
        }
    });
    // Followers in both processes see the same, one by memory and one by both.
    let followers = [&world.journal, &other].map(|journal| {
        let mut follower = journal.follow(Position(0));
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < 2 * WRITERS * APPENDS {
                seen.extend(follower.next(7).await.unwrap());
            }
            seen
        })
    });

    all([world.journal.clone(), other.clone()].into_iter().flat_map(|journal| {
        (0..WRITERS).map(move |_| {
            let journal = journal.clone();
            async move {
                for _ in 0..APPENDS {
                    let id = Uuid::now_v7();
                    journal.execute_new::<Booking>(id, request(id, 1), &metadata()).await.unwrap();
                }
            }
        })
    }))
    .await;
    done.store(true, Ordering::Release);

    let log = world.log().await;
    assert_gapless(&log);
    assert_eq!(log.len(), 2 * WRITERS * APPENDS);
    let (read, reads) = reader.await.unwrap();
    assert_eq!(read, Position(log.len() as u64));
    assert!(reads > 1, "the reader ran beside the writers");
    for follower in followers {
        let seen = follower.await.unwrap();
        assert!(seen.iter().map(|event| &**event).eq(&log), "a follower saw another log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_that_change_the_same_aggregate_never_fork_it() {
    use crate::support::{hold, register};
    use aggregates::{Concert, ConcertCommand};

    let world = World::start().await;
    let other = open(&world.postgres.url()).await;
    let concert = Uuid::now_v7();
    world.journal.execute_new::<Concert>(concert, register(concert, 1_000), &metadata()).await.unwrap();
    all([world.journal.clone(), other].into_iter().flat_map(|journal| {
        (0..4).map(move |_| {
            let journal = journal.clone();
            async move {
                for _ in 0..5 {
                    // The two are always in each other's way; who loses more often than the bound asks again.
                    let command: ConcertCommand = hold(concert);
                    loop {
                        match journal.execute::<Concert>(concert, command.clone(), &metadata()).await {
                            Ok(_) => break,
                            Err(journal::ExecuteError::Append(error)) if error.is_transient() => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }
        })
    }))
    .await;
    let log = world.log().await;
    assert_gapless(&log);
    assert_eq!(log.len(), 1 + 2 * 4 * 5);
    // What the other one appended last is news that this one may not have heard yet.
    world.journal.reached(Position(log.len() as u64)).await;
    let state = world.journal.load::<Concert>(concert).await.unwrap().state;
    assert_eq!(state.counts().held, 40);
}
