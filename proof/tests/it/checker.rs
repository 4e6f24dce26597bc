//! The checker finds what must never be: each log here is sound up to its last event.

use std::collections::BTreeMap;

use aggregates::{
    AttemptId, BookingEvent, BookingId, ConcertEvent, ConcertId, Event, Money, PaymentEvent, PaymentId, Qty, UserId,
    booking::CancelReason,
    concert::{Allotted, RefusalReason},
    payment::PaymentCancelReason,
};
use chrono::{DateTime, Utc};
use proof::{Breach, Checker, Moved, Origin};
use uuid::Uuid;

const CONCERT: ConcertId = ConcertId(Uuid::from_u128(1));
const USER: UserId = UserId(Uuid::from_u128(2));
const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
const AMOUNT: Money = Money::krw(2_000);

fn booking(n: u128) -> BookingId {
    BookingId(Uuid::from_u128(100 + n))
}

fn qty(tickets: u32) -> Qty {
    Qty::new(tickets).unwrap()
}

fn registered() -> Event {
    Event::Concert(ConcertEvent::ConcertRegistered {
        concert_id: CONCERT,
        organizer_id: USER,
        name: "Autumn".to_owned(),
        venue: None,
        starts_at: None,
        capacity: 3,
        price: Money::krw(1_000),
        max_per_booking: None,
        hold_seconds: 600,
    })
}

fn requested(n: u128) -> Event {
    let (booking_id, concert_id, user_id) = (booking(n), CONCERT, USER);
    Event::Booking(BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty: qty(2) })
}

fn held(n: u128) -> Event {
    let (booking_id, concert_id, user_id) = (booking(n), CONCERT, USER);
    let (qty, amount, expires_at) = (qty(2), AMOUNT, NOW);
    Event::Concert(ConcertEvent::TicketsHeld { concert_id, booking_id, user_id, qty, amount, expires_at })
}

fn refused(n: u128) -> Event {
    let (booking_id, concert_id) = (booking(n), CONCERT);
    let (reason, available) = (RefusalReason::SoldOut, 1);
    Event::Concert(ConcertEvent::TicketsRefused { concert_id, booking_id, qty: qty(2), reason, available })
}

fn sold(n: u128) -> Event {
    Event::Concert(ConcertEvent::TicketsSold { concert_id: CONCERT, booking_id: booking(n), qty: qty(2) })
}

fn released(n: u128) -> Event {
    let (concert_id, booking_id, was) = (CONCERT, booking(n), Allotted::Held);
    Event::Concert(ConcertEvent::TicketsReleased { concert_id, booking_id, qty: qty(2), was })
}

fn billed(n: u128, amount: Money) -> Event {
    let (payment_id, booking_id, concert_id) = (PaymentId::of(booking(n)), booking(n), CONCERT);
    let (user_id, qty, expires_at) = (USER, qty(2), NOW);
    Event::Payment(PaymentEvent::PaymentRequested {
        payment_id,
        booking_id,
        concert_id,
        user_id,
        qty,
        amount,
        expires_at,
    })
}

fn attempted(n: u128, attempt: u128) -> Event {
    Event::Payment(PaymentEvent::PaymentAttempted {
        payment_id: PaymentId::of(booking(n)),
        booking_id: booking(n),
        attempt_id: AttemptId(Uuid::from_u128(attempt)),
        payment_key: "k".to_owned(),
        attempted_at: NOW,
    })
}

fn paid(n: u128, attempt: u128) -> Event {
    Event::Payment(PaymentEvent::PaymentApproved {
        payment_id: PaymentId::of(booking(n)),
        booking_id: booking(n),
        concert_id: CONCERT,
        user_id: USER,
        qty: qty(2),
        amount: AMOUNT,
        attempt_id: AttemptId(Uuid::from_u128(attempt)),
        payment_key: "k".to_owned(),
        approved_at: NOW,
    })
}

fn ending(n: u128) -> Event {
    let (payment_id, booking_id) = (PaymentId::of(booking(n)), booking(n));
    let reason = PaymentCancelReason::BookingCanceled;
    Event::Payment(PaymentEvent::PaymentCancelRequested { payment_id, booking_id, reason })
}

fn payment_over(n: u128, refunded: bool) -> Event {
    let (payment_id, booking_id, concert_id) = (PaymentId::of(booking(n)), booking(n), CONCERT);
    let (user_id, qty, amount) = (USER, qty(2), AMOUNT);
    Event::Payment(PaymentEvent::PaymentCanceled { payment_id, booking_id, concert_id, user_id, qty, amount, refunded })
}

fn approved(n: u128) -> Event {
    let (booking_id, concert_id, user_id, payment_id) = (booking(n), CONCERT, USER, PaymentId::of(booking(n)));
    Event::Booking(BookingEvent::BookingApproved { booking_id, concert_id, user_id, qty: qty(2), payment_id })
}

fn canceled(n: u128) -> Event {
    let (booking_id, concert_id, user_id, reason) = (booking(n), CONCERT, USER, CancelReason::ByFan);
    Event::Booking(BookingEvent::BookingCanceled { booking_id, concert_id, user_id, qty: qty(2), reason })
}

fn expired(n: u128) -> Event {
    let (booking_id, concert_id, user_id) = (booking(n), CONCERT, USER);
    Event::Booking(BookingEvent::BookingExpired { booking_id, concert_id, user_id, qty: qty(2) })
}

/// Reads a log; the breach, if there is one, and the checker then.
fn read(log: &[Event]) -> (Checker, Result<(), Breach>) {
    let mut checker = Checker::default();
    let outcome =
        log.iter().zip(1..).try_for_each(|(event, position)| checker.push(position, event, &Origin::default()));
    (checker, outcome)
}

fn upto_paid() -> Vec<Event> {
    vec![registered(), requested(1), held(1), billed(1, AMOUNT), attempted(1, 1), paid(1, 1)]
}

fn with(mut log: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    log.extend(more);
    log
}

#[test]
fn what_must_never_be_is_found_where_it_happens() {
    let upto_held = || vec![registered(), requested(1), held(1)];
    let upto_billed = || with(upto_held(), [billed(1, AMOUNT)]);
    for (log, what) in [
        (with(upto_held(), [requested(2), held(2)]), "oversold"),
        (with(upto_held(), [held(1)]), "Held become Held"),
        (vec![registered(), held(1)], "no BookingRequested"),
        (vec![registered(), requested(1), refused(1), held(1)], "Refused become Held"),
        (vec![registered(), requested(1), billed(1, AMOUNT)], "no TicketsHeld"),
        (with(upto_held(), [billed(1, Money::krw(1))]), "for tickets of"),
        (with(upto_held(), [approved(1)]), "no PaymentApproved"),
        (with(upto_paid(), [sold(1)]), "no BookingApproved"),
        (with(upto_held(), [released(1)]), "no end of its booking"),
        (with(upto_held(), [canceled(1), released(1), released(1)]), "Released become Released"),
        (with(upto_held(), [canceled(1), expired(1)]), "becomes BookingExpired"),
        (with(upto_billed(), [attempted(1, 1), expired(1)]), "no end of the try to pay"),
        (with(upto_billed(), [paid(1, 1)]), "no PaymentAttempted"),
        (with(upto_paid(), [attempted(1, 2)]), "that is paid"),
        (with(upto_paid(), [paid(1, 1)]), "money so far"),
        (with(upto_paid(), [payment_over(1, false)]), "refunded: false"),
        (with(upto_billed(), [payment_over(1, true)]), "refunded: true"),
        (with(upto_billed(), [payment_over(1, false), payment_over(1, false)]), "ended: true"),
        (with(upto_paid(), [ending(1), payment_over(1, true), payment_over(1, true)]), "refunded: true"),
        (with(upto_paid(), [approved(1), approved(1)]), "becomes BookingApproved"),
    ] {
        let last = log.len() as u64;
        let breach = read(&log).1.expect_err(what);
        assert_eq!(breach.position, Some(last), "{what}: {breach}");
        assert!(breach.what.contains(what), "{what}: {breach}");
    }
}

#[test]
fn what_is_left_undone_is_found_in_the_end() {
    let books = |charged, refunded| BTreeMap::from([(PaymentId::of(booking(1)), Moved { charged, refunded })]);
    let bought = || with(upto_paid(), [approved(1), sold(1)]);
    let back = || with(upto_paid(), [canceled(1), ending(1), payment_over(1, true), released(1)]);
    for (log, books, what) in [
        (vec![registered(), requested(1)], BTreeMap::new(), "is Some(BookingRequested)"),
        (with(upto_paid(), [approved(1)]), books(2_000, 0), "its tickets are Held"),
        (with(upto_paid(), [canceled(1)]), books(2_000, 0), "is Some(BookingCanceled)"),
        (with(upto_paid(), [canceled(1), ending(1), payment_over(1, true)]), books(2_000, 2_000), "tickets are Held"),
        (bought(), BTreeMap::new(), "the provider Moved { charged: 0"),
        (bought(), books(4_000, 0), "the provider Moved { charged: 4000"),
        (back(), books(2_000, 0), "the provider Moved { charged: 2000, refunded: 0"),
        (back(), books(2_000, 4_000), "refunded: 4000"),
    ] {
        let (checker, sound) = read(&log);
        sound.unwrap();
        let breach = checker.settled(&books).expect_err(what);
        assert!(breach.what.contains(what), "{what}: {breach}");
    }
    for (log, books) in [(bought(), books(2_000, 0)), (back(), books(2_000, 2_000))] {
        assert_eq!(read(&log).0.settled(&books), Ok(()));
    }
}

#[test]
fn an_event_that_is_reacted_to_twice_or_a_position_that_is_missing_is_found() {
    let reaction = |unit: &str| Origin { reaction_to: Some(1), unit: unit.to_owned() };
    let mut checker = Checker::default();
    checker.push(1, &registered(), &Origin::default()).unwrap();
    checker.push(2, &requested(1), &reaction("a")).unwrap();
    checker.push(3, &requested(2), &reaction("a")).unwrap();
    let twice = checker.push(4, &requested(3), &reaction("b")).unwrap_err();
    assert!(twice.what.contains("reacts to 1 for the second time"), "{twice}");
    let gap = Checker::default().push(2, &registered(), &Origin::default()).unwrap_err();
    assert!(gap.what.contains("is missing"), "{gap}");
}
