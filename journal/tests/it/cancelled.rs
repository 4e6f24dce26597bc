//! A caller that goes away leaves the cache and the queue as one.

use std::{pin::pin, task::Poll};

use aggregates::{Booking, BookingStatus};
use journal::JournalOptions;
use uuid::Uuid;

use crate::support::{CANCEL, World, assert_gapless, metadata, open, options, request};

#[tokio::test]
async fn a_caller_that_leaves_while_its_append_is_in_flight_changes_nothing_about_it() {
    let world = World::start().await;
    let gate = world.close_gate().await;
    let id = Uuid::now_v7();
    let call = tokio::spawn({
        let journal = world.journal.clone();
        async move { journal.execute_new::<Booking>(id, request(id, 1), &metadata()).await }
    });
    world.somebody_at_the_gate().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    gate.open().await;
    let cancelled = world.journal.execute::<Booking>(id, CANCEL, &metadata()).await.unwrap();
    assert_eq!(cancelled.state.status(), Some(BookingStatus::BookingCanceled));
    let log = world.log().await;
    assert_gapless(&log);
    assert_eq!(log.len(), 2);
}

#[tokio::test]
async fn a_caller_may_leave_at_any_point_and_the_cache_still_equals_the_log() {
    let world = World::start().await;
    let id = Uuid::now_v7();
    // Each round leaves one poll later than the one before, until one gets through to its end; every second one is about
    // the same booking, and it takes one of those to end it, for how many polls Postgres needs differs from round to round.
    for polls in 0.. {
        let is_the_same = polls % 2 == 0;
        let id = if is_the_same { id } else { Uuid::now_v7() };
        let metadata = metadata();
        let mut call = pin!(world.journal.execute::<Booking>(id, request(id, 1), &metadata));
        let mut finished = false;
        for _ in 0..polls {
            let poll = futures::poll!(call.as_mut());
            if let Poll::Ready(outcome) = poll {
                outcome.unwrap();
                finished = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        if finished && is_the_same && polls > 50 {
            break;
        }
    }
    world.journal.execute::<Booking>(id, CANCEL, &metadata()).await.unwrap();
    let log = world.log().await;
    assert_gapless(&log);
    let fresh = open(&world.postgres.url()).await;
    for event in &log {
        let cached = world.journal.load::<Booking>(event.aggregate_id).await.unwrap();
        let stored = fresh.load::<Booking>(event.aggregate_id).await.unwrap();
        assert_eq!((cached.state, cached.sequence), (stored.state, stored.sequence));
    }
}

#[tokio::test]
async fn closing_writes_what_was_queued_and_refuses_what_comes_after() {
    let world = World::start().await;
    let journal = journal::Journal::open(options(&world.postgres.url()), JournalOptions::default()).await.unwrap();
    let gate = world.close_gate().await;
    let ticket = enqueue(&journal).await.unwrap();
    let closing = tokio::spawn({
        let journal = journal.clone();
        async move { journal.close().await }
    });
    // Units get into the queue until it is closed; those that did are written.
    let mut queued = vec![ticket];
    while let Ok(ticket) = enqueue(&journal).await {
        queued.push(ticket);
        tokio::task::yield_now().await;
    }
    gate.open().await;
    let count = queued.len();
    for ticket in queued {
        ticket.committed().await.unwrap();
    }
    closing.await.unwrap();
    assert_eq!(world.log().await.len(), count);
}

async fn enqueue(journal: &journal::Journal) -> Result<journal::Ticket, journal::AppendError> {
    let id = Uuid::now_v7();
    let mut unit = journal.unit().await;
    unit.execute_new::<Booking>(id, request(id, 1), &metadata()).await.unwrap();
    unit.enqueue(None).await
}
