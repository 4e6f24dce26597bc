//! Small logs, each with one thing wrong with it, or nothing.

use std::collections::HashMap;

use aggregates::{
    AggregateType, AttemptId, BookingEvent, BookingId, ConcertEvent, ConcertId, Event, Money, PaymentEvent, PaymentId,
    Qty, UserId,
    booking::CancelReason,
    concert::{Allotted, RefusalReason},
    payment::PaymentCancelReason,
};
use chrono::{DateTime, Utc};
use journal::{Position, Sequence};
use uuid::Uuid;

use super::{
    Check,
    check::Findings,
    decode::Decoded,
    ledger::Ledger,
    settled::{self, UnderWay},
};

const CONCERT: ConcertId = ConcertId(Uuid::from_u128(1));
const FAN: UserId = UserId(Uuid::from_u128(2));
const ATTEMPT: AttemptId = AttemptId(Uuid::from_u128(3));
const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(0);
const LATER: DateTime<Utc> = DateTime::from_timestamp_nanos(600_000_000_000);

fn booking(n: u128) -> BookingId {
    BookingId(Uuid::from_u128(100 + n))
}

fn qty(n: u32) -> Qty {
    Qty::new(n).unwrap_or_else(|error| panic!("{error}"))
}

fn registered(capacity: u32) -> Event {
    Event::Concert(ConcertEvent::ConcertRegistered {
        concert_id: CONCERT,
        organizer_id: FAN,
        name: "Autumn".to_owned(),
        venue: None,
        starts_at: None,
        capacity,
        price: Money::krw(1_000),
        max_per_booking: None,
        hold_seconds: 600,
    })
}

fn requested(n: u128, tickets: u32) -> Event {
    let (booking_id, qty) = (booking(n), qty(tickets));
    Event::Booking(BookingEvent::BookingRequested { booking_id, concert_id: CONCERT, user_id: FAN, qty })
}

fn held(n: u128, tickets: u32) -> Event {
    let (booking_id, qty) = (booking(n), qty(tickets));
    let amount = Money::krw(1_000).times(qty);
    let concert_id = CONCERT;
    Event::Concert(ConcertEvent::TicketsHeld { concert_id, booking_id, user_id: FAN, qty, amount, expires_at: LATER })
}

fn sold(n: u128, tickets: u32) -> Event {
    Event::Concert(ConcertEvent::TicketsSold { concert_id: CONCERT, booking_id: booking(n), qty: qty(tickets) })
}

fn released(n: u128, tickets: u32, was: Allotted) -> Event {
    let (booking_id, qty) = (booking(n), qty(tickets));
    Event::Concert(ConcertEvent::TicketsReleased { concert_id: CONCERT, booking_id, qty, was })
}

fn billed(n: u128, tickets: u32) -> Event {
    let (booking_id, qty) = (booking(n), qty(tickets));
    Event::Payment(PaymentEvent::PaymentRequested {
        payment_id: PaymentId::of(booking_id),
        booking_id,
        concert_id: CONCERT,
        user_id: FAN,
        qty,
        amount: Money::krw(1_000).times(qty),
        expires_at: LATER,
    })
}

fn attempted(n: u128) -> Event {
    let booking_id = booking(n);
    Event::Payment(PaymentEvent::PaymentAttempted {
        payment_id: PaymentId::of(booking_id),
        booking_id,
        attempt_id: ATTEMPT,
        payment_key: "k".to_owned(),
        attempted_at: NOW,
    })
}

fn abandoned(n: u128) -> Event {
    let booking_id = booking(n);
    Event::Payment(PaymentEvent::PaymentAttemptAbandoned {
        payment_id: PaymentId::of(booking_id),
        booking_id,
        attempt_id: ATTEMPT,
        reason: "no answer".to_owned(),
    })
}

fn paid(n: u128, tickets: u32) -> Event {
    let (booking_id, qty) = (booking(n), qty(tickets));
    Event::Payment(PaymentEvent::PaymentApproved {
        payment_id: PaymentId::of(booking_id),
        booking_id,
        concert_id: CONCERT,
        user_id: FAN,
        qty,
        amount: Money::krw(1_000).times(qty),
        attempt_id: ATTEMPT,
        payment_key: "k".to_owned(),
        approved_at: NOW,
    })
}

fn to_be_refunded(n: u128, reason: PaymentCancelReason) -> Event {
    let booking_id = booking(n);
    Event::Payment(PaymentEvent::PaymentCancelRequested { payment_id: PaymentId::of(booking_id), booking_id, reason })
}

fn payment_canceled(n: u128, tickets: u32, refunded: bool) -> Event {
    let (booking_id, qty) = (booking(n), qty(tickets));
    Event::Payment(PaymentEvent::PaymentCanceled {
        payment_id: PaymentId::of(booking_id),
        booking_id,
        concert_id: CONCERT,
        user_id: FAN,
        qty,
        amount: Money::krw(1_000).times(qty),
        refunded,
    })
}

fn approved(n: u128, tickets: u32) -> Event {
    let (booking_id, qty) = (booking(n), qty(tickets));
    let payment_id = PaymentId::of(booking_id);
    Event::Booking(BookingEvent::BookingApproved { booking_id, concert_id: CONCERT, user_id: FAN, qty, payment_id })
}

fn canceled(n: u128, tickets: u32) -> Event {
    let (booking_id, qty, reason) = (booking(n), qty(tickets), CancelReason::ByFan);
    Event::Booking(BookingEvent::BookingCanceled { booking_id, concert_id: CONCERT, user_id: FAN, qty, reason })
}

/// The checks that find something in a log, where the saga has come so far.
fn breached_at(saga: u64, log: Vec<Event>) -> Vec<Check> {
    let (mut ledger, mut sequences) = (Ledger::new(), HashMap::<Uuid, Sequence>::new());
    for (event, position) in log.into_iter().zip(1..) {
        let (aggregate, id) = match &event {
            Event::Concert(_) => (AggregateType::Concert, CONCERT.0),
            Event::Booking(
                BookingEvent::BookingRequested { booking_id, .. }
                | BookingEvent::BookingApproved { booking_id, .. }
                | BookingEvent::BookingCanceled { booking_id, .. },
            ) => (AggregateType::Booking, booking_id.0),
            Event::Payment(
                PaymentEvent::PaymentRequested { payment_id, .. }
                | PaymentEvent::PaymentAttempted { payment_id, .. }
                | PaymentEvent::PaymentAttemptAbandoned { payment_id, .. }
                | PaymentEvent::PaymentApproved { payment_id, .. }
                | PaymentEvent::PaymentCancelRequested { payment_id, .. }
                | PaymentEvent::PaymentCanceled { payment_id, .. },
            ) => (AggregateType::Payment, payment_id.0),
            other => unreachable!("no log here has {other:?}"),
        };
        let sequence = sequences.entry(id).or_default();
        *sequence = sequence.next();
        let (position, sequence) = (Position(position), *sequence);
        let decoded = Decoded { position, recorded_micros: 0, aggregate, id, sequence, event: Some(event) };
        ledger.push(decoded).unwrap_or_else(|error| panic!("{error}"));
    }
    let (mut findings, mut under_way) = (Findings::default(), UnderWay::default());
    let each = ledger.bookings.for_each(|id, record| {
        settled::check(id, record, Position(saga), &mut under_way, &mut findings);
        Ok(())
    });
    each.unwrap_or_else(|error| panic!("{error}"));
    findings.merge(ledger.findings);
    let checked = findings.into_checked();
    checked.into_iter().filter(|checked| checked.breaches > 0).map(|checked| checked.check).collect()
}

fn breached(log: Vec<Event>) -> Vec<Check> {
    breached_at(u64::MAX, log)
}

#[test]
fn what_happens_in_life_is_sound() {
    let sale = vec![
        registered(3),
        requested(1, 2),
        held(1, 2),
        billed(1, 2),
        attempted(1),
        paid(1, 2),
        approved(1, 2),
        sold(1, 2),
    ];
    assert_eq!(breached(sale.clone()), []);
    let refunded = [
        canceled(1, 2),
        to_be_refunded(1, PaymentCancelReason::BookingCanceled),
        payment_canceled(1, 2, true),
        released(1, 2, Allotted::Sold),
    ];
    assert_eq!(breached([sale, refunded.to_vec()].concat()), []);
    // Cancelled before it was held; and a try that was given up, but had gone through.
    assert_eq!(
        breached(vec![registered(3), requested(1, 2), canceled(1, 2), held(1, 2), released(1, 2, Allotted::Held)]),
        []
    );
    let late = vec![
        registered(3),
        requested(1, 2),
        held(1, 2),
        billed(1, 2),
        attempted(1),
        canceled(1, 2),
        to_be_refunded(1, PaymentCancelReason::BookingCanceled),
        abandoned(1),
        payment_canceled(1, 2, false),
        released(1, 2, Allotted::Held),
        paid(1, 2),
        to_be_refunded(1, PaymentCancelReason::ApprovedTooLate),
        payment_canceled(1, 2, true),
    ];
    for end in [12, 13] {
        assert_eq!(breached(late[..end].to_vec()), [], "its first {end}");
    }
}

#[test]
fn each_invariant_that_is_broken_is_found() {
    let to_pay = vec![registered(3), requested(1, 2), held(1, 2), billed(1, 2)];
    let and = |more: &[Event]| [to_pay.as_slice(), more].concat();
    // 1: more than there are; and less than none.
    let oversold = and(&[requested(2, 2), held(2, 2), billed(2, 2)]);
    assert_eq!(breached(oversold), [Check::Transitions, Check::Oversell]);
    let twice = and(&[
        canceled(1, 2),
        payment_canceled(1, 2, false),
        released(1, 2, Allotted::Held),
        released(1, 2, Allotted::Held),
    ]);
    assert_eq!(breached(twice), [Check::Transitions, Check::Oversell]);
    // 2
    assert_eq!(breached(and(&[approved(1, 2)])), [Check::Approvals, Check::FollowUps]);
    // 3
    assert_eq!(breached(vec![registered(3), requested(1, 2), billed(1, 2)]), [Check::Bills, Check::FollowUps]);
    // 4: paid, and then nothing; paid, cancelled, and nothing goes back.
    let paid_for = and(&[attempted(1), paid(1, 2)]);
    assert_eq!(breached(paid_for.clone()), [Check::Money]);
    assert_eq!(breached([paid_for.clone(), vec![canceled(1, 2)]].concat()), [Check::Money]);
    // 8
    let ended = and(&[canceled(1, 2), payment_canceled(1, 2, false)]);
    assert_eq!(breached(ended.clone()), [Check::DeadBookings]);
    // And what does not follow.
    assert_eq!(breached(vec![registered(3), requested(1, 2)]), [Check::FollowUps]);
    assert_eq!(breached(vec![registered(3), requested(1, 2), held(1, 2)]), [Check::FollowUps]);
    assert_eq!(breached([paid_for.clone(), vec![approved(1, 2)]].concat()), [Check::FollowUps]);
    // Before the saga has come so far, all this may still follow.
    for log in [paid_for, ended] {
        let last = log.len() as u64;
        assert_eq!(breached_at(last - 1, log), []);
    }
}

#[test]
fn what_could_not_have_been_decided_is_found() {
    let to_pay = vec![registered(3), requested(1, 2), held(1, 2), billed(1, 2)];
    let refused = |reason, available| {
        let (booking_id, concert_id, qty) = (booking(2), CONCERT, qty(1));
        Event::Concert(ConcertEvent::TicketsRefused { concert_id, booking_id, qty, reason, available })
    };
    for unlawful in [
        vec![requested(1, 2)],
        vec![canceled(1, 2), canceled(1, 2)],
        vec![paid(1, 2)],
        vec![attempted(1), attempted(1)],
        vec![payment_canceled(1, 2, true)],
        vec![canceled(1, 1)],
        vec![sold(1, 2)],
        vec![released(1, 2, Allotted::Held)],
        vec![held(1, 2)],
        vec![registered(3)],
        vec![requested(2, 1), refused(RefusalReason::SoldOut, 1)],
        vec![requested(2, 1), refused(RefusalReason::ConcertCanceled, 1)],
        vec![held(3, 1)],
    ] {
        let shown = format!("{unlawful:?}");
        let found = breached_at(0, [to_pay.clone(), unlawful].concat());
        assert!(found.contains(&Check::Transitions), "{shown}: {found:?}");
    }
    assert_eq!(breached_at(0, to_pay), []);
}
