//! A concert that is called off takes its bookings with it, whatever is killed meanwhile.

use aggregates::{
    Booking, BookingEvent, BookingId, BookingStatus, Concert, ConcertCommand, Counts, Event, Payment, PaymentCommand,
    PaymentId, PaymentStatus, booking::CancelReason, payment::Outcome,
};
use journal::Journal;
use saga::{CANCELLATIONS_CHECKPOINT, Cancellations};
use stack::testing::eventually;

use crate::support::{DEADLINE, World, attempt, metadata, open};

/// Bookings of more than two rounds.
const MANY: i64 = 450;

async fn call_off(world: &World) {
    world.journal.execute::<Concert>(world.concert.0, ConcertCommand::Cancel, &metadata()).await.unwrap();
}

/// Steps until everything called off so far is done with.
async fn cancel_all(journal: &Journal) {
    let mut cancellations = Cancellations::resume(journal).await.unwrap();
    let until = journal.position();
    tokio::time::timeout(DEADLINE, async {
        while cancellations.position() < until {
            cancellations.step().await.unwrap();
        }
    })
    .await
    .expect("the bookings to be cancelled in time");
}

/// Bookings cancelled because of their concert, in the order of the log.
async fn taken_along(world: &World) -> Vec<BookingId> {
    let events = world.log().await;
    let decoded = events.iter().map(|event| event.decode(world.journal.upcasters()).unwrap());
    decoded
        .filter_map(|event| match event {
            Event::Booking(BookingEvent::BookingCanceled {
                booking_id, reason: CancelReason::ConcertCanceled, ..
            }) => Some(booking_id),
            Event::Booking(_) | Event::Concert(_) | Event::Payment(_) | Event::User(_) => None,
        })
        .collect()
}

/// What `boxoffice status` reads: bookings, cancelled, and whether that is all.
async fn progress(world: &World) -> (i64, i64, bool) {
    sqlx::query_as(
        "SELECT bookings, canceled, finished_at IS NOT NULL FROM concert_cancellations WHERE concert_id = $1",
    )
    .bind(world.concert.0)
    .fetch_one(world.journal.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn bookings_in_every_state_end_and_all_money_and_tickets_come_back() {
    let world = World::with_tickets(12).await;
    let [unpaid, paid, paying, cancelled, ended, refused] = [
        world.request(2).await,
        world.request(2).await,
        world.request(2).await,
        world.request(2).await,
        world.request(2).await,
        world.request(9).await,
    ];
    world.settle().await;
    world.pay(paid).await;
    world.settle().await;
    world.cancel(cancelled).await;
    let in_flight = PaymentId::of(paying);
    world.journal.execute::<Payment>(in_flight.0, attempt(in_flight), &metadata()).await.unwrap();
    world.journal.execute::<Booking>(ended.0, aggregates::BookingCommand::Expire, &metadata()).await.unwrap();
    call_off(&world).await;
    // Asked for a moment too late.
    let late = world.request(1).await;
    cancel_all(&world.journal).await;
    world.settle().await;

    assert_eq!(progress(&world).await, (5, 5, true), "five of them had tickets when it was called off");
    let mut along = taken_along(&world).await;
    along.sort_unstable_by_key(|booking| booking.0);
    assert_eq!(along, [unpaid, paid, paying]);
    for (booking, status) in [
        (cancelled, BookingStatus::BookingCanceled),
        (ended, BookingStatus::BookingExpired),
        (refused, BookingStatus::BookingRejected),
        (late, BookingStatus::BookingRejected),
    ] {
        assert_eq!(world.booking(booking).await.status(), Some(status));
    }
    // What is being paid waits for the provider's word; what was paid goes back.
    assert_eq!(world.counts().await, Counts { capacity: 12, held: 2, sold: 2 });
    let attempt_id = aggregates::AttemptId::derived(in_flight, "1");
    let outcome = Outcome::Approved { approved_at: chrono::Utc::now(), payment_key: "k".to_owned() };
    let settle = PaymentCommand::Settle { attempt_id, outcome };
    world.journal.execute::<Payment>(in_flight.0, settle, &metadata()).await.unwrap();
    world.settle().await;
    for booking in [paid, paying] {
        world.refund(booking).await;
        world.settle().await;
        assert_eq!(world.payment(booking).await, Some(PaymentStatus::PaymentCanceled));
    }
    assert_eq!(world.counts().await, Counts { capacity: 12, held: 0, sold: 0 });
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_where_it_was_and_cancels_nobody_twice() {
    let world = World::with_tickets(1_000).await;
    for _ in 0..MANY {
        world.request(1).await;
    }
    world.settle().await;
    call_off(&world).await;
    // Its first round is on its way when it dies.
    let gate = world.close_gate().await;
    let killed = open(&world.postgres).await;
    let cancelling = tokio::spawn(async move { cancel_all(&killed).await });
    world.somebody_at_the_gate(1).await;
    cancelling.abort();
    assert!(cancelling.await.is_err_and(|error| error.is_cancelled()));
    gate.open().await;
    eventually("the first round to be cancelled", DEADLINE, || async { !taken_along(&world).await.is_empty() }).await;
    let (_, done, all) = progress(&world).await;
    assert!(!all && done < MANY, "it was killed in the middle: {done}");

    let next_life = open(&world.postgres).await;
    cancel_all(&next_life).await;
    assert_eq!(progress(&world).await, (MANY, MANY, true));
    let along = taken_along(&world).await;
    let distinct: std::collections::HashSet<_> = along.iter().collect();
    assert_eq!(along.len(), distinct.len());
    assert_eq!(i64::try_from(along.len()).unwrap(), MANY);
    world.journal.reached(next_life.position()).await;
    world.settle().await;
    assert_eq!(world.counts().await, Counts { capacity: 1_000, held: 0, sold: 0 });
    assert!(journal::checkpoint(world.journal.pool(), CANCELLATIONS_CHECKPOINT).await.unwrap() > journal::Position(0));
}

#[tokio::test]
async fn a_fan_who_cancels_at_that_very_moment_is_not_in_the_way() {
    let world = World::with_tickets(10).await;
    let bookings = [world.request(1).await, world.request(1).await];
    world.settle().await;
    call_off(&world).await;
    let other = open(&world.postgres).await;
    // This process has the bookings in memory as they were; the other one's fan is first at the gate.
    let gate = world.close_gate().await;
    let fan = tokio::spawn({
        let other = other.clone();
        async move {
            let cancel = aggregates::BookingCommand::Cancel { reason: CancelReason::ByFan };
            other.execute::<Booking>(bookings[0].0, cancel, &metadata()).await.unwrap();
        }
    });
    world.somebody_at_the_gate(1).await;
    let journal = world.journal.clone();
    let cancelling = tokio::spawn(async move { cancel_all(&journal).await });
    world.somebody_at_the_gate(2).await;
    gate.open().await;
    fan.await.unwrap();
    cancelling.await.unwrap();
    assert_eq!(taken_along(&world).await, [bookings[1]]);
    world.settle().await;
    assert_eq!(world.counts().await, Counts { capacity: 10, held: 0, sold: 0 });
}
