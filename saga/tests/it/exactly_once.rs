//! The saga is killed at every point, run twice, and shown events again: the result is the same.

use std::{pin::pin, task::Poll};

use aggregates::{BookingStatus, Counts, PaymentStatus};
use journal::AppendError;
use saga::{Saga, StepError};
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;

use crate::support::{DEADLINE, World, occurrences, open};

/// Twelve bookings for ten tickets; some are paid, one of those and one of the others is cancelled.
async fn everything(world: &World, settle: impl AsyncFn()) {
    let mut bookings = Vec::new();
    for _ in 0..12 {
        bookings.push(world.request(1).await);
    }
    settle().await;
    for booking in &bookings[..4] {
        world.pay(*booking).await;
    }
    settle().await;
    world.cancel(bookings[0]).await;
    world.cancel(bookings[9]).await;
    settle().await;
    world.refund(bookings[0]).await;
    settle().await;

    assert_eq!(world.counts().await, Counts { capacity: 10, held: 5, sold: 3 });
    for (nth, booking) in bookings.iter().enumerate() {
        let (status, payment) = (world.booking(*booking).await.status().unwrap(), world.payment(*booking).await);
        let expected = match nth {
            0 | 9 => (BookingStatus::BookingCanceled, Some(PaymentStatus::PaymentCanceled)),
            1..4 => (BookingStatus::BookingApproved, Some(PaymentStatus::PaymentApproved)),
            4..9 => (BookingStatus::BookingRequested, Some(PaymentStatus::PaymentRequested)),
            _ => (BookingStatus::BookingRejected, None),
        };
        assert_eq!((status, payment), expected, "booking {nth}");
    }
    for (event, count) in occurrences(&world.log().await) {
        assert_eq!(count, 1, "{event:?} occurred {count} times");
    }
}

#[tokio::test]
async fn a_saga_that_dies_at_every_point_between_two_commits_has_the_same_result() {
    let world = World::with_tickets(10).await;
    let dying = async || {
        // Each life lasts one poll longer than the one before; a life that gets somewhere begins the count anew.
        let mut polls = 1;
        loop {
            let mut saga = Saga::resume(&world.journal).await.unwrap();
            if saga.position() >= world.journal.position() {
                return;
            }
            let mut life = pin!(saga.step(3));
            for _ in 0..polls {
                if let Poll::Ready(outcome) = futures::poll!(life.as_mut()) {
                    // A batch that an earlier life had queued may be committed after its death.
                    assert!(
                        matches!(outcome, Ok(()) | Err(StepError::Append(AppendError::CheckpointMoved))),
                        "{outcome:?}"
                    );
                    polls = 0;
                    break;
                }
                tokio::task::yield_now().await;
            }
            polls += 1;
        }
    };
    everything(&world, dying).await;
}

#[tokio::test]
async fn a_saga_whose_process_is_replaced_between_any_two_batches_has_the_same_result() {
    let world = World::with_tickets(10).await;
    let replaced = async || {
        loop {
            // A new process knows nothing but what is in Postgres.
            let journal = open(&world.postgres).await;
            let mut saga = Saga::resume(&journal).await.unwrap();
            if saga.position() >= journal.position() {
                // What the other process appended is seen here before it is asked about.
                world.journal.reached(journal.position()).await;
                return;
            }
            saga.step(5).await.unwrap();
            journal.close().await;
        }
    };
    everything(&world, replaced).await;
}

#[tokio::test]
async fn two_sagas_at_once_have_one_effect() {
    let world = World::with_tickets(10).await;
    let other = open(&world.postgres).await;
    let both = async || {
        let mut sagas = [Saga::resume(&world.journal).await.unwrap(), Saga::resume(&other).await.unwrap()];
        loop {
            let head = world.journal.position();
            other.reached(head).await;
            if sagas.iter().any(|saga| saga.position() >= head) {
                return;
            }
            let [first, second] = &mut sagas;
            // Unelected on purpose: only the checkpoint stands between them. Whoever loses resumes.
            let (one, two) = tokio::join!(first.step(4), second.step(4));
            assert!(one.is_ok() || two.is_ok(), "one of the two gets on: {one:?} {two:?}");
            for (saga, outcome, journal) in [(first, one, &world.journal), (second, two, &other)] {
                if outcome.is_err() {
                    *saga = Saga::resume(journal).await.unwrap();
                }
            }
            let last = journal::last_position(world.journal.pool()).await.unwrap();
            world.journal.reached(last).await;
        }
    };
    everything(&world, both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elected_sagas_take_over_from_each_other() {
    let world = World::with_tickets(10).await;
    let other = open(&world.postgres).await;
    let stops = [CancellationToken::new(), CancellationToken::new()];
    let running = [
        tokio::spawn(saga::run(world.journal.clone(), stops[0].clone())),
        tokio::spawn(saga::run(other.clone(), stops[1].clone())),
    ];
    let first = world.request(1).await;
    let held = |booking| {
        let world = &world;
        async move { world.payment(booking).await.is_some() }
    };
    eventually("the first booking to be held", DEADLINE, || held(first)).await;
    stops[0].cancel();
    let second = world.request(1).await;
    eventually("the second booking to be held by whoever is left", DEADLINE, || held(second)).await;
    stops[1].cancel();
    for saga in running {
        saga.await.unwrap();
    }
    assert_eq!(world.counts().await.held, 2);
}
