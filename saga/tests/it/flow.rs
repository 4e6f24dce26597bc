//! A booking all the way, and the ways in which things overtake each other.

use aggregates::{BookingStatus, Counts, PaymentStatus};
use journal::Metadata;

use crate::support::World;

fn counts(capacity: u32, held: u32, sold: u32) -> Counts {
    Counts { capacity, held, sold }
}

#[tokio::test]
async fn a_booking_is_held_paid_approved_sold_cancelled_refunded_and_released() {
    let world = World::with_tickets(10).await;
    let booking = world.request(2).await;
    world.settle().await;
    assert_eq!(world.counts().await, counts(10, 2, 0));
    assert_eq!(world.payment(booking).await, Some(PaymentStatus::PaymentRequested));

    world.pay(booking).await;
    world.settle().await;
    assert_eq!(world.booking(booking).await.status(), Some(BookingStatus::BookingApproved));
    assert_eq!(world.counts().await, counts(10, 0, 2));

    world.cancel(booking).await;
    world.settle().await;
    assert_eq!(world.payment(booking).await, Some(PaymentStatus::PaymentApproved), "the money is not back yet");
    assert_eq!(world.counts().await, counts(10, 0, 2));
    world.refund(booking).await;
    world.settle().await;
    assert_eq!(world.payment(booking).await, Some(PaymentStatus::PaymentCanceled));
    assert_eq!(world.counts().await, counts(10, 0, 0));

    let log = world.log().await;
    let names: Vec<_> = log.iter().map(|event| &*event.event_type).collect();
    assert_eq!(
        names,
        [
            "ConcertRegistered",
            "BookingRequested",
            "TicketsHeld",
            "PaymentRequested",
            "PaymentAttempted",
            "PaymentApproved",
            "BookingApproved",
            "TicketsSold",
            "BookingCanceled",
            "PaymentCancelRequested",
            "PaymentCanceled",
            "TicketsReleased",
        ]
    );
    // Who, why, and in what connection: the saga's events name their cause, and the request at the beginning.
    let held: Metadata = serde_json_from(&log[2].metadata);
    assert_eq!((&*held.actor, &*held.causation, &*held.correlation), ("saga", "event:2", "r1"));
}

fn serde_json_from(text: &str) -> Metadata {
    let field = |name: &str| {
        let needle = format!("\"{name}\":\"");
        let from = text.find(&needle).unwrap() + needle.len();
        std::sync::Arc::from(text[from..].split('"').next().unwrap())
    };
    Metadata {
        actor: field("actor"),
        correlation: field("correlation"),
        causation: field("causation"),
        traceparent: None,
    }
}

#[tokio::test]
async fn the_last_ticket_is_held_once_and_the_others_are_rejected() {
    let world = World::with_tickets(1).await;
    let bookings = [world.request(1).await, world.request(1).await, world.request(1).await];
    world.settle().await;
    assert_eq!(world.counts().await, counts(1, 1, 0));
    assert_eq!(world.booking(bookings[0]).await.status(), Some(BookingStatus::BookingRequested));
    for loser in &bookings[1..] {
        assert_eq!(world.booking(*loser).await.status(), Some(BookingStatus::BookingRejected));
        assert_eq!(world.payment(*loser).await, None, "nobody pays for tickets we do not have");
    }
}

#[tokio::test]
async fn a_cancellation_overtakes_the_hold_at_every_step() {
    for steps_before in 0..4 {
        let world = World::with_tickets(5).await;
        let booking = world.request(2).await;
        let mut saga = saga::Saga::resume(&world.journal).await.unwrap();
        for _ in 0..steps_before {
            saga.step(1).await.unwrap();
        }
        world.cancel(booking).await;
        world.settle().await;
        assert_eq!(world.counts().await, counts(5, 0, 0), "cancelled after {steps_before} steps of the saga");
        assert_ne!(world.payment(booking).await, Some(PaymentStatus::PaymentRequested));
    }
}

#[tokio::test]
async fn a_checkpoint_ahead_of_the_log_stops_the_saga_with_a_reason() {
    let world = World::with_tickets(5).await;
    sqlx_checkpoint(&world, 99).await;
    let error = saga::Saga::resume(&world.journal).await.err().unwrap();
    assert!(error.to_string().contains("has come to 99"), "{error}");
}

async fn sqlx_checkpoint(world: &World, position: i64) {
    journal::checkpoint(world.journal.pool(), saga::CHECKPOINT).await.unwrap();
    sqlx::query("UPDATE checkpoints SET position = $1").bind(position).execute(world.journal.pool()).await.unwrap();
}
