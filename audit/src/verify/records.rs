//! What the fold remembers of each aggregate.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::OnceLock,
};

use aggregates::{
    Booking, BookingId, ConcertId, Money, Payment, PaymentId,
    concert::{Allotment, Terms},
};
use chrono::{DateTime, Utc};
use journal::{Position, Sequence};
use projections::{BookingHistory, ConcertView, HistoryStatus};
use serde::{Deserialize, Serialize};

/// A booking with its tickets, its payment and its line in the histories.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct BookingRecord {
    pub booking: Booking,
    pub booking_sequence: Sequence,
    pub payment: Option<Box<Payment>>,
    pub payment_sequence: Sequence,
    /// What its concert made of it.
    pub tickets: Option<Allotment>,
    /// What its held tickets cost.
    pub price: Option<Money>,
    pub was_approved: bool,
    /// Position of the last event about any of it.
    pub last: Position,
    pub line: Option<Line>,
}

/// What the histories say beside what the booking itself does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub id: Position,
    pub status: HistoryStatus,
    pub requested_micros: i64,
    pub updated_micros: i64,
    pub position: Position,
    /// Known once the payment is requested.
    pub payment: Option<(PaymentId, Money)>,
}

impl BookingRecord {
    /// Its row in the histories, with the position of the event that changed it last.
    pub fn history(&self) -> Option<(BookingHistory, Position)> {
        let (line, request) = (self.line.as_ref()?, self.booking.request()?);
        let history = BookingHistory {
            id: line.id,
            booking_id: request.booking_id,
            concert_id: request.concert_id,
            user_id: request.user_id,
            status: line.status,
            qty: request.qty,
            amount: line.payment.map(|(_, amount)| amount),
            payment_id: line.payment.map(|(id, _)| id),
            requested_at: time(line.requested_micros),
            updated_at: time(line.updated_micros),
        };
        Some((history, line.position))
    }

    /// The latest event is one that the histories tell.
    pub fn told(&mut self, status: HistoryStatus, position: Position, micros: i64) {
        if let Some(line) = &mut self.line {
            (line.status, line.position, line.updated_micros) = (status, position, micros);
        }
    }
}

/// A concert by its counts: its allotments stand with their bookings, so this stays small whatever is booked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ConcertRecord {
    pub sequence: Sequence,
    pub terms: Option<Terms>,
    pub canceled: bool,
    /// Signed: what must never be negative must be able to show that it is.
    pub capacity: i64,
    pub held: i64,
    pub sold: i64,
    pub registered_at: Position,
    /// Of the last event that changes its row in the ticket counts.
    pub changed_at: Position,
    /// Sum over its allotments, in no order.
    pub allotments: Sum,
}

impl ConcertRecord {
    pub const fn available(&self) -> i64 {
        let free = self.capacity - self.held - self.sold;
        if free < 0 { 0 } else { free }
    }

    /// Its row in the ticket counts; `None` where it was never registered.
    pub fn view(&self, id: ConcertId) -> Option<ConcertView> {
        let terms = self.terms.as_ref()?;
        let tickets = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Some(ConcertView {
            id,
            organizer_id: terms.organizer_id,
            name: terms.name.clone(),
            venue: terms.venue.clone(),
            // Postgres keeps microseconds.
            starts_at: terms.starts_at.map(|at| time(at.timestamp_micros())),
            price: terms.price,
            max_per_booking: terms.max_per_booking,
            hold_seconds: terms.hold_seconds,
            canceled: self.canceled,
            counts: aggregates::Counts {
                capacity: tickets(self.capacity),
                held: tickets(self.held),
                sold: tickets(self.sold),
            },
            registered_position: self.registered_at,
            position: self.changed_at,
        })
    }
}

/// A user, by what must not happen twice.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct UserRecord {
    pub sequence: Sequence,
    pub erased: Option<Position>,
}

/// A sum over a set, the same in whatever order its members come and go. The hashes have a key of this process' own, so
/// nobody can have prepared members whose sums are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum(u64, u64);

impl Sum {
    pub fn add(&mut self, booking: BookingId, allotment: &Allotment) {
        let (one, two) = hash(booking, allotment);
        (self.0, self.1) = (self.0.wrapping_add(one), self.1.wrapping_add(two));
    }

    pub fn remove(&mut self, booking: BookingId, allotment: &Allotment) {
        let (one, two) = hash(booking, allotment);
        (self.0, self.1) = (self.0.wrapping_sub(one), self.1.wrapping_sub(two));
    }
}

fn hash(booking: BookingId, allotment: &Allotment) -> (u64, u64) {
    static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();
    let [one, two] = KEYS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    let until = allotment.held_until.map(|at| (at.timestamp(), at.timestamp_subsec_nanos()));
    let member = (booking, allotment.qty, allotment.state as u8, until);
    (one.hash_one(member), two.hash_one(member))
}

pub(super) fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
