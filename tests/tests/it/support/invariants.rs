//! What must be true of every log, at every position of it.

use std::{collections::HashMap, collections::HashSet, fmt::Debug, hash::Hash};

use aggregates::{
    AggregateType, AttemptId, BookingEvent, BookingId, ConcertEvent, ConcertId, Event, PaymentEvent, PaymentId,
};

use super::{
    Log,
    log::{Entry, Folded},
};

/// Checks the whole log: gapless numbers, no oversell, and no effect before its cause.
#[track_caller]
pub fn assert_sound(log: &Log) {
    let mut so_far = Sofar::default();
    for entry in &log.0 {
        so_far.place(entry);
        match &entry.event {
            Event::Concert(event) => so_far.concert(entry, event),
            Event::Booking(event) => so_far.booking(entry, event),
            Event::Payment(event) => so_far.payment(entry, event),
            Event::User(_) => {}
        }
    }
}

/// What has happened before a position.
#[derive(Default)]
struct Sofar {
    last: Option<(u64, chrono::DateTime<chrono::Utc>)>,
    sequences: HashMap<(AggregateType, String), u64>,
    folded: Folded,
    requested: HashMap<BookingId, ConcertId>,
    held: HashSet<BookingId>,
    refused: HashSet<BookingId>,
    released: HashSet<BookingId>,
    approved: HashSet<BookingId>,
    payments: HashSet<PaymentId>,
    attempts: HashSet<AttemptId>,
    paid: HashSet<PaymentId>,
    canceled: HashSet<PaymentId>,
}

/// It happens for the first time.
#[track_caller]
fn once<T: Copy + Debug + Eq + Hash>(set: &mut HashSet<T>, what: T, entry: &Entry) {
    assert!(set.insert(what), "{} of {what:?} for the second time, at {}", entry.event_type, entry.position);
}

/// Its cause stands earlier in the log.
#[track_caller]
fn after<T: Debug>(is: bool, what: T, cause: &str, entry: &Entry) {
    assert!(is, "{} of {what:?} at {} has no {cause} before it", entry.event_type, entry.position);
}

impl Sofar {
    fn place(&mut self, entry: &Entry) {
        let (position, recorded_at) = self.last.unwrap_or((0, entry.recorded_at));
        assert_eq!(entry.position, position + 1, "the log has a gap");
        assert!(entry.recorded_at >= recorded_at, "time goes back at {position}");
        self.last = Some((entry.position, entry.recorded_at));
        let sequence = self.sequences.entry((entry.aggregate, entry.aggregate_id.clone())).or_default();
        assert_eq!(entry.sequence, *sequence + 1, "{} {} has a gap", entry.aggregate, entry.aggregate_id);
        *sequence = entry.sequence;
        self.folded.apply(entry);
    }

    fn concert(&mut self, entry: &Entry, event: &ConcertEvent) {
        let counts = self.folded.concerts[&entry.aggregate_id.parse().unwrap()].counts();
        assert!(counts.held + counts.sold <= counts.capacity, "oversold at {}: {counts:?}", entry.position);
        match *event {
            ConcertEvent::TicketsHeld { booking_id, .. } => {
                after(self.requested.contains_key(&booking_id), booking_id, "BookingRequested", entry);
                once(&mut self.held, booking_id, entry);
            }
            ConcertEvent::TicketsRefused { booking_id, .. } => {
                after(self.requested.contains_key(&booking_id), booking_id, "BookingRequested", entry);
                once(&mut self.refused, booking_id, entry);
            }
            ConcertEvent::TicketsSold { booking_id, .. } => {
                after(self.held.contains(&booking_id), booking_id, "TicketsHeld", entry);
                after(self.approved.contains(&booking_id), booking_id, "BookingApproved", entry);
            }
            ConcertEvent::TicketsReleased { booking_id, .. } => {
                after(self.held.contains(&booking_id), booking_id, "TicketsHeld", entry);
                once(&mut self.released, booking_id, entry);
            }
            ConcertEvent::ConcertRegistered { .. }
            | ConcertEvent::CapacityChanged { .. }
            | ConcertEvent::ConcertCanceled { .. } => {}
        }
    }

    fn booking(&mut self, entry: &Entry, event: &BookingEvent) {
        match *event {
            BookingEvent::BookingRequested { booking_id, concert_id, .. } => {
                let before = self.requested.insert(booking_id, concert_id);
                assert!(before.is_none(), "{booking_id} is requested twice, again at {}", entry.position);
            }
            BookingEvent::BookingApproved { booking_id, payment_id, .. } => {
                after(self.paid.contains(&payment_id), booking_id, "PaymentApproved", entry);
                once(&mut self.approved, booking_id, entry);
            }
            BookingEvent::BookingRejected { booking_id, .. } => {
                after(self.refused.contains(&booking_id), booking_id, "TicketsRefused", entry);
            }
            BookingEvent::BookingCanceled { booking_id, .. } | BookingEvent::BookingExpired { booking_id, .. } => {
                after(self.requested.contains_key(&booking_id), booking_id, "BookingRequested", entry);
            }
        }
    }

    fn payment(&mut self, entry: &Entry, event: &PaymentEvent) {
        match *event {
            PaymentEvent::PaymentRequested { payment_id, booking_id, .. } => {
                after(self.held.contains(&booking_id), payment_id, "TicketsHeld", entry);
                once(&mut self.payments, payment_id, entry);
            }
            PaymentEvent::PaymentAttempted { payment_id, attempt_id, .. } => {
                after(self.payments.contains(&payment_id), payment_id, "PaymentRequested", entry);
                once(&mut self.attempts, attempt_id, entry);
            }
            PaymentEvent::PaymentDeclined { payment_id, attempt_id, .. }
            | PaymentEvent::PaymentAttemptAbandoned { payment_id, attempt_id, .. } => {
                after(self.attempts.contains(&attempt_id), payment_id, "PaymentAttempted", entry);
            }
            PaymentEvent::PaymentApproved { payment_id, attempt_id, .. } => {
                after(self.attempts.contains(&attempt_id), payment_id, "PaymentAttempted", entry);
                once(&mut self.paid, payment_id, entry);
            }
            PaymentEvent::PaymentPutOff { payment_id, .. }
            | PaymentEvent::PaymentCancelRequested { payment_id, .. } => {
                after(self.payments.contains(&payment_id), payment_id, "PaymentRequested", entry);
            }
            PaymentEvent::PaymentCanceled { payment_id, refunded, .. } => {
                after(self.payments.contains(&payment_id), payment_id, "PaymentRequested", entry);
                assert_eq!(refunded, self.paid.contains(&payment_id), "{payment_id}: refunded what was paid, no more");
                once(&mut self.canceled, payment_id, entry);
            }
        }
    }
}
