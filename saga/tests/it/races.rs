//! Two processes at once, in both orders: a gate before the log lets through whoever came first.

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingError, BookingId, BookingStatus, Concert, ConcertCommand, Counts,
    Payment, PaymentCommand, PaymentError, PaymentId, PaymentStatus, booking::CancelReason, payment::Outcome,
};
use chrono::{TimeDelta, Utc};
use journal::{ExecuteError, Executed, Journal};
use saga::{Deadlines, Saga, StepError};
use stack::testing::eventually;
use tokio::task::JoinHandle;

use crate::support::{DEADLINE, World, attempt, metadata, open};

/// Seconds that tickets are held where that matters.
const HOLD_SECONDS: u32 = 1;
const FREE: Counts = Counts { capacity: 5, held: 0, sold: 0 };

type Cancelling = JoinHandle<Result<Executed<Booking>, ExecuteError<BookingError>>>;

fn cancels(journal: &Journal, booking: BookingId) -> Cancelling {
    let journal = journal.clone();
    let cancel = BookingCommand::Cancel { reason: CancelReason::ByFan };
    tokio::spawn(async move { journal.execute::<Booking>(booking.0, cancel, &metadata()).await })
}

fn reacts(journal: &Journal) -> JoinHandle<Result<(), StepError>> {
    let journal = journal.clone();
    tokio::spawn(async move { Saga::resume(&journal).await?.step(64).await })
}

fn expires(journal: &Journal) -> JoinHandle<Result<(), StepError>> {
    let journal = journal.clone();
    tokio::spawn(async move { Deadlines::resume(&journal).await?.round().await })
}

/// A world with another process, and a booking that holds two of five tickets.
async fn held(hold_seconds: u32) -> (World, Journal, BookingId) {
    let world = World::holding(5, hold_seconds).await;
    let booking = world.request(2).await;
    world.settle().await;
    let other = open(&world.postgres).await;
    // Both know it as it is now.
    other.load::<Booking>(booking.0).await.unwrap();
    other.load::<Payment>(PaymentId::of(booking).0).await.unwrap();
    (world, other, booking)
}

/// As [`held`], with its time over.
async fn overdue() -> (World, Journal, BookingId) {
    let (world, other, booking) = held(HOLD_SECONDS).await;
    let payment = world.journal.load::<Payment>(PaymentId::of(booking).0).await.unwrap().state;
    eventually("the deadline to pass", DEADLINE, || async { payment.expires_at().unwrap() <= Utc::now() }).await;
    (world, other, booking)
}

/// Both processes have seen everything, and the saga has reacted to it.
async fn settled(world: &World, other: &Journal) {
    world.journal.reached(journal::last_position(world.journal.pool()).await.unwrap()).await;
    world.settle().await;
    other.reached(world.journal.position()).await;
}

async fn count(world: &World, name: &str) -> usize {
    world.log().await.iter().filter(|event| &*event.event_type == name).count()
}

#[tokio::test]
async fn cancelling_twice_at_once_cancels_once() {
    let (world, other, booking) = held(600).await;
    let gate = world.close_gate().await;
    let one = cancels(&world.journal, booking);
    world.somebody_at_the_gate(1).await;
    let elsewhere = cancels(&other, booking);
    world.somebody_at_the_gate(2).await;
    // In the same process it waits for the first.
    let here = cancels(&world.journal, booking);
    gate.open().await;
    let outcomes = [one.await.unwrap().unwrap(), elsewhere.await.unwrap().unwrap(), here.await.unwrap().unwrap()];
    assert_eq!(outcomes.each_ref().map(|done| done.changed), [true, false, false]);
    settled(&world, &other).await;
    for name in ["BookingCanceled", "PaymentCanceled", "TicketsReleased"] {
        assert_eq!(count(&world, name).await, 1, "{name}");
    }
    assert_eq!(world.counts().await, FREE);
}

#[tokio::test]
async fn who_pays_when_the_hold_has_just_ended_is_refused() {
    let (world, other, booking) = overdue().await;
    let payment = PaymentId::of(booking);
    let gate = world.close_gate().await;
    let expiring = expires(&world.journal);
    world.somebody_at_the_gate(1).await;
    // Decided a moment before the deadline, on the state before.
    let paying = tokio::spawn({
        let (other, PaymentCommand::Attempt { attempt_id, payment_key, now }) = (other.clone(), attempt(payment))
        else {
            unreachable!("an attempt is one")
        };
        let now = now - TimeDelta::seconds(i64::from(HOLD_SECONDS)) - TimeDelta::seconds(60);
        let command = PaymentCommand::Attempt { attempt_id, payment_key, now };
        async move { other.execute::<Payment>(payment.0, command, &metadata()).await }
    });
    world.somebody_at_the_gate(2).await;
    gate.open().await;
    expiring.await.unwrap().unwrap();
    let refused = paying.await.unwrap();
    assert!(matches!(refused, Err(ExecuteError::Refused(PaymentError::Canceled))), "{refused:?}");
    settled(&world, &other).await;
    assert_eq!(world.booking(booking).await.status(), Some(BookingStatus::BookingExpired));
    assert_eq!(world.counts().await, FREE);
}

#[tokio::test]
async fn a_hold_that_ends_while_its_booking_is_cancelled_ends_once() {
    for cancel_first in [true, false] {
        let (world, other, booking) = overdue().await;
        let gate = world.close_gate().await;
        let (cancelling, expiring) = if cancel_first {
            let cancelling = cancels(&other, booking);
            world.somebody_at_the_gate(1).await;
            (cancelling, expires(&world.journal))
        } else {
            let expiring = expires(&world.journal);
            world.somebody_at_the_gate(1).await;
            (cancels(&other, booking), expiring)
        };
        world.somebody_at_the_gate(2).await;
        gate.open().await;
        let cancelled = cancelling.await.unwrap();
        expiring.await.unwrap().unwrap();
        settled(&world, &other).await;
        // The deadlines look again, and find it over.
        Deadlines::resume(&world.journal).await.unwrap().round().await.unwrap();
        let status = world.booking(booking).await.status();
        if cancel_first {
            assert!(cancelled.unwrap().changed);
            assert_eq!(status, Some(BookingStatus::BookingCanceled));
        } else {
            let over = matches!(cancelled, Err(ExecuteError::Refused(BookingError::IllegalTransition { .. })));
            assert!(over, "it had expired");
            assert_eq!(status, Some(BookingStatus::BookingExpired));
        }
        assert_eq!(count(&world, "BookingCanceled").await + count(&world, "BookingExpired").await, 1);
        assert_eq!(count(&world, "PaymentCanceled").await, 1);
        assert_eq!(world.counts().await, FREE);
    }
}

#[tokio::test]
async fn a_booking_cancelled_while_it_is_approved_is_paid_back() {
    for cancel_first in [true, false] {
        let (world, other, booking) = held(600).await;
        world.pay(booking).await;
        other.reached(world.journal.position()).await;
        let gate = world.close_gate().await;
        let (cancelling, reacting) = if cancel_first {
            let cancelling = cancels(&other, booking);
            world.somebody_at_the_gate(1).await;
            (cancelling, reacts(&world.journal))
        } else {
            let reacting = reacts(&world.journal);
            world.somebody_at_the_gate(1).await;
            (cancels(&other, booking), reacting)
        };
        world.somebody_at_the_gate(2).await;
        gate.open().await;
        assert!(cancelling.await.unwrap().unwrap().changed);
        reacting.await.unwrap().unwrap();
        settled(&world, &other).await;
        assert_eq!(count(&world, "BookingApproved").await, usize::from(!cancel_first));
        let payment = world.journal.load::<Payment>(PaymentId::of(booking).0).await.unwrap().state;
        assert!(payment.refund_due().is_some(), "the money goes back: {payment:?}");
        world.refund(booking).await;
        settled(&world, &other).await;
        assert_eq!(world.booking(booking).await.status(), Some(BookingStatus::BookingCanceled));
        assert_eq!(world.counts().await, FREE);
    }
}

#[tokio::test]
async fn who_comes_to_pay_between_a_cancellation_and_what_follows_from_it_is_paid_back() {
    for attempt_first in [true, false] {
        let (world, other, booking) = held(600).await;
        let payment = PaymentId::of(booking);
        world.cancel(booking).await;
        other.reached(world.journal.position()).await;
        // The booking is cancelled; that its payment shall end is about to be written.
        let gate = world.close_gate().await;
        let attempts = || {
            let other = other.clone();
            tokio::spawn(async move { other.execute::<Payment>(payment.0, attempt(payment), &metadata()).await })
        };
        let (attempting, reacting) = if attempt_first {
            let attempting = attempts();
            world.somebody_at_the_gate(1).await;
            (attempting, reacts(&world.journal))
        } else {
            let reacting = reacts(&world.journal);
            world.somebody_at_the_gate(1).await;
            (attempts(), reacting)
        };
        world.somebody_at_the_gate(2).await;
        gate.open().await;
        reacting.await.unwrap().unwrap();
        let attempted = attempting.await.unwrap();
        settled(&world, &other).await;
        if attempt_first {
            attempted.unwrap();
            // The provider takes the money; nobody wants it any more.
            let outcome = Outcome::Approved { approved_at: Utc::now(), payment_key: "k".to_owned() };
            let settle = PaymentCommand::Settle { attempt_id: AttemptId::derived(payment, "1"), outcome };
            world.journal.execute::<Payment>(payment.0, settle, &metadata()).await.unwrap();
            world.refund(booking).await;
            settled(&world, &other).await;
        } else {
            let refused = matches!(attempted, Err(ExecuteError::Refused(PaymentError::Canceled)));
            assert!(refused, "the provider must not hear of it");
        }
        assert_eq!(world.payment(booking).await, Some(PaymentStatus::PaymentCanceled));
        assert_eq!(world.counts().await, FREE);
    }
}

#[tokio::test]
async fn tickets_of_a_concert_that_is_called_off_at_that_moment_are_held_before_or_not_at_all() {
    for hold_first in [true, false] {
        let world = World::with_tickets(5).await;
        let other = open(&world.postgres).await;
        let concert = world.concert;
        other.load::<Concert>(concert.0).await.unwrap();
        let booking = world.request(2).await;
        let gate = world.close_gate().await;
        let calls_off = || {
            let other = other.clone();
            tokio::spawn(async move { other.execute::<Concert>(concert.0, ConcertCommand::Cancel, &metadata()).await })
        };
        let (calling_off, holding) = if hold_first {
            let holding = reacts(&world.journal);
            world.somebody_at_the_gate(1).await;
            (calls_off(), holding)
        } else {
            let calling_off = calls_off();
            world.somebody_at_the_gate(1).await;
            (calling_off, reacts(&world.journal))
        };
        world.somebody_at_the_gate(2).await;
        gate.open().await;
        holding.await.unwrap().unwrap();
        calling_off.await.unwrap().unwrap();
        settled(&world, &other).await;
        let log = world.log().await;
        let position = |name: &str| log.iter().find(|event| &*event.event_type == name).map(|event| event.position);
        let called_off = position("ConcertCanceled").unwrap();
        if hold_first {
            // Its booking is one of those that are cancelled now.
            assert!(position("TicketsHeld").unwrap() < called_off);
        } else {
            assert!(position("TicketsRefused").unwrap() > called_off);
            assert_eq!(world.booking(booking).await.status(), Some(BookingStatus::BookingRejected));
        }
    }
}

#[tokio::test]
async fn a_saga_that_takes_over_has_to_see_first_what_the_last_one_wrote() {
    let world = World::with_tickets(5).await;
    let other = open(&world.postgres).await;
    let booking = world.request(2).await;
    let mut first = Saga::resume(&world.journal).await.unwrap();
    while world.counts().await.held == 0 {
        first.step(1).await.unwrap();
    }
    other.reached(world.journal.position()).await;
    // The other process has looked for the payment already, and there is none.
    assert!(other.load::<Payment>(PaymentId::of(booking).0).await.unwrap().state.request().is_none());
    let gate = world.close_gate().await;
    let cancelling = cancels(&other, booking);
    world.somebody_at_the_gate(1).await;
    // The first saga bills the booking, which it does not know to be cancelled, and dies.
    let billing = tokio::spawn(async move { first.step(1).await });
    world.somebody_at_the_gate(2).await;
    gate.open().await;
    cancelling.await.unwrap().unwrap();
    billing.await.unwrap().unwrap();
    // The second takes over at once, in the process that knows of the cancellation.
    let mut second = Saga::resume(&other).await.unwrap();
    let last = journal::last_position(other.pool()).await.unwrap();
    while second.position() < last {
        second.step(1).await.unwrap();
    }
    settled(&world, &other).await;
    assert_eq!(world.payment(booking).await, Some(PaymentStatus::PaymentCanceled), "no bill without a booking");
    assert_eq!(world.counts().await, FREE, "no ticket is held by a dead booking");
}
