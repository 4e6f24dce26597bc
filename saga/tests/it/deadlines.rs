//! Holds end at their deadline, whatever dies, unless somebody is paying.

use std::time::Duration;

use aggregates::{
    AttemptId, BookingId, BookingStatus, Counts, Payment, PaymentCommand, PaymentError, PaymentId, PaymentStatus,
    payment::Outcome,
};
use chrono::Utc;
use journal::ExecuteError;
use saga::Deadlines;
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;

use crate::support::{DEADLINE, World, attempt, metadata, open};

/// Seconds that these concerts hold tickets.
const HOLD_SECONDS: u32 = 1;

async fn all_expired(world: &World, bookings: &[BookingId]) -> bool {
    for booking in bookings {
        if world.booking(*booking).await.status() != Some(BookingStatus::BookingExpired) {
            return false;
        }
    }
    true
}

/// Expires what is due until nothing is, at the clock's own pace.
async fn expire_until(deadlines: &mut Deadlines, done: impl AsyncFn() -> bool) {
    tokio::time::timeout(DEADLINE, async {
        while !done().await {
            deadlines.step().await.unwrap();
        }
    })
    .await
    .expect("the holds to expire in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_expire_at_their_deadline_and_their_tickets_are_free_again() {
    let world = World::holding(100, HOLD_SECONDS).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(saga::run(world.journal.clone(), stop.clone()));
    let mut bookings = Vec::new();
    for _ in 0..20 {
        bookings.push(world.request(2).await);
    }
    eventually("all holds to expire", DEADLINE, || all_expired(&world, &bookings)).await;
    eventually("all tickets to be free", DEADLINE, || async {
        world.counts().await == Counts { capacity: 100, held: 0, sold: 0 }
    })
    .await;
    for booking in &bookings {
        assert_eq!(world.payment(*booking).await, Some(PaymentStatus::PaymentCanceled));
        let held =
            world.log().await.into_iter().find(|event| {
                &*event.event_type == "PaymentRequested" && event.aggregate_id == PaymentId::of(*booking).0
            });
        let expired = world
            .log()
            .await
            .into_iter()
            .find(|event| &*event.event_type == "BookingExpired" && event.aggregate_id == booking.0);
        let lasted = expired.unwrap().recorded_at - held.unwrap().recorded_at;
        assert!(lasted >= chrono::Duration::milliseconds(500), "it expired early, after {lasted}");
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_deadline_outlives_the_process_that_made_the_hold() {
    let world = World::holding(100, HOLD_SECONDS).await;
    let bookings = [world.request(1).await, world.request(1).await];
    world.settle().await;
    let next_life = open(&world.postgres).await;
    let mut deadlines = Deadlines::resume(&next_life).await.unwrap();
    expire_until(&mut deadlines, async || {
        world.journal.reached(next_life.position()).await;
        all_expired(&world, &bookings).await
    })
    .await;
}

#[tokio::test]
async fn a_hold_does_not_expire_while_somebody_is_paying() {
    let world = World::holding(100, HOLD_SECONDS).await;
    let (paying, idle) = (world.request(1).await, world.request(1).await);
    world.settle().await;
    let payment = PaymentId::of(paying);
    world.journal.execute::<Payment>(payment.0, attempt(payment), &metadata()).await.unwrap();
    let mut deadlines = Deadlines::resume(&world.journal).await.unwrap();
    expire_until(&mut deadlines, async || all_expired(&world, &[idle]).await).await;
    deadlines.round().await.unwrap();
    assert_eq!(world.booking(paying).await.status(), Some(BookingStatus::BookingRequested), "it is being paid");

    // Declined after the deadline: now it ends.
    let declined = Outcome::Declined { code: "NO".to_owned(), message: String::new() };
    let settle = PaymentCommand::Settle { attempt_id: AttemptId::derived(payment, "1"), outcome: declined };
    world.journal.execute::<Payment>(payment.0, settle, &metadata()).await.unwrap();
    expire_until(&mut deadlines, async || all_expired(&world, &[paying]).await).await;
    let late = world.journal.execute::<Payment>(payment.0, attempt(payment), &metadata()).await;
    assert!(matches!(late, Err(ExecuteError::Refused(PaymentError::Canceled))), "{late:?}");
}

#[tokio::test]
async fn a_try_to_pay_in_another_process_at_that_very_moment_wins() {
    let world = World::holding(100, HOLD_SECONDS).await;
    let booking = world.request(1).await;
    world.settle().await;
    let payment = PaymentId::of(booking);
    let other = open(&world.postgres).await;
    // Both processes have decided on the state before; the gate lets the payer through first.
    let loaded = other.load::<Payment>(payment.0).await.unwrap();
    let gate = world.close_gate().await;
    let paying = tokio::spawn({
        let other = other.clone();
        async move { other.execute::<Payment>(payment.0, attempt(payment), &metadata()).await }
    });
    world.somebody_at_the_gate(1).await;
    eventually("the deadline to pass", Duration::from_secs(10), || async {
        loaded.state.request().unwrap().expires_at <= Utc::now()
    })
    .await;
    let mut deadlines = Deadlines::resume(&world.journal).await.unwrap();
    let expiring = tokio::spawn(async move { deadlines.round().await });
    world.somebody_at_the_gate(2).await;
    gate.open().await;
    paying.await.unwrap().unwrap();
    expiring.await.unwrap().unwrap();
    world.journal.reached(other.position()).await;
    assert_eq!(world.booking(booking).await.status(), Some(BookingStatus::BookingRequested));
    assert!(world.journal.load::<Payment>(payment.0).await.unwrap().state.in_flight().is_some());
}

/// Steps until it has taken in all of the log.
async fn take_in(deadlines: &mut Deadlines, holds: usize) {
    tokio::time::timeout(DEADLINE, async {
        while deadlines.count() != holds {
            deadlines.step().await.unwrap();
        }
    })
    .await
    .unwrap_or_else(|_| panic!("waited for {holds} holds, there are {}", deadlines.count()));
}

#[tokio::test]
async fn what_was_paid_or_cancelled_has_no_deadline_any_more() {
    let world = World::with_tickets(100).await;
    let mut deadlines = Deadlines::resume(&world.journal).await.unwrap();
    let (paid, canceled, held) = (world.request(1).await, world.request(1).await, world.request(1).await);
    world.settle().await;
    take_in(&mut deadlines, 3).await;
    world.pay(paid).await;
    world.cancel(canceled).await;
    world.settle().await;
    take_in(&mut deadlines, 1).await;
    // Nobody who takes the office later looks at what is before the one that is left.
    let mark = deadlines.write_mark_now().await.unwrap();
    let log = world.log().await;
    let made = log.iter().filter(|event| &*event.event_type == "TicketsHeld").map(|event| event.position).max();
    assert_eq!(Some(mark.next()), made, "the last hold is the one that is left");
    assert_eq!(Deadlines::resume(&world.journal).await.unwrap().count(), 1);
    world.cancel(held).await;
    world.settle().await;
    take_in(&mut deadlines, 0).await;
    assert_eq!(deadlines.write_mark_now().await.unwrap(), world.journal.position());
    // So not even that concert is looked at, and yet a new hold of it is found.
    assert_eq!(Deadlines::resume(&world.journal).await.unwrap().count(), 0);
    world.request(1).await;
    world.settle().await;
    assert_eq!(Deadlines::resume(&world.journal).await.unwrap().count(), 1);
}

#[tokio::test]
async fn a_round_that_fails_forgets_no_hold() {
    let world = World::holding(100, HOLD_SECONDS).await;
    let booking = world.request(1).await;
    world.settle().await;
    let mut deadlines = Deadlines::resume(&world.journal).await.unwrap();
    let bolt = "CREATE FUNCTION bolt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'bolted'; END $$;
        CREATE TRIGGER bolt BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION bolt()";
    sqlx::raw_sql(bolt).execute(world.journal.pool()).await.unwrap();
    let failed = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Err(error) = deadlines.step().await {
                return error;
            }
        }
    });
    let error = failed.await.expect("a round to fail");
    assert_eq!(deadlines.count(), 1, "{error}");
    sqlx::query("DROP TRIGGER bolt ON events").execute(world.journal.pool()).await.unwrap();
    expire_until(&mut deadlines, async || all_expired(&world, &[booking]).await).await;
}
