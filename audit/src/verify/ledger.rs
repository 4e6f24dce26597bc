//! The fold of the log: every event against everything before it.

use std::collections::HashMap;

use aggregates::{AggregateType, BookingEvent, ConcertEvent, Event, PaymentEvent, PaymentId, UserEvent, UserId};
use cqrs_es::Aggregate as _;
use journal::{Position, Sequence};
use projections::HistoryStatus;
use uuid::Uuid;

use super::{
    Breach, Check,
    check::Findings,
    decode::Decoded,
    lawful,
    records::{BookingRecord, ConcertRecord, Line, UserRecord},
};
use crate::{Error, shelf::Shelf};

/// Records of one kind of aggregate in memory, at most twice this: bookings of some 600 bytes.
const BOOKINGS_AT_HAND: usize = 150_000;
const CONCERTS_AT_HAND: usize = 10_000;
const USERS_AT_HAND: usize = 150_000;

/// Everything that the log has led to so far.
pub(super) struct Ledger {
    pub bookings: Shelf<BookingRecord>,
    pub concerts: Shelf<ConcertRecord>,
    pub users: Shelf<UserRecord>,
    /// Users that were erased, and where: their lines up to there are gone from the histories. Few ever
    /// are, and each takes 24 bytes, so all are kept.
    pub erased: HashMap<UserId, Position>,
    pub registered_concerts: u64,
    pub findings: Findings,
}

/// Where an event stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub position: Position,
    pub micros: i64,
    pub kind: AggregateType,
    pub id: Uuid,
}

impl Place {
    pub fn breach(self, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Breach {
        Breach::of(self.position, self.kind, self.id, expected, found)
    }
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            bookings: Shelf::new(BOOKINGS_AT_HAND),
            concerts: Shelf::new(CONCERTS_AT_HAND),
            users: Shelf::new(USERS_AT_HAND),
            erased: HashMap::new(),
            registered_concerts: 0,
            findings: Findings::default(),
        }
    }

    /// Takes the next event.
    pub fn push(&mut self, decoded: Decoded) -> Result<(), Error> {
        let Decoded { position, recorded_micros: micros, aggregate: kind, id, sequence, event } = decoded;
        let place = Place { position, micros, kind, id };
        if sequence.0 == 1 {
            self.findings.count(Check::Streams, 1);
        }
        match event {
            Some(Event::User(event)) => self.user(place, sequence, event),
            Some(Event::Concert(event)) => self.concert(place, sequence, event),
            Some(Event::Booking(event)) => self.booking(place, sequence, event),
            Some(Event::Payment(event)) => self.payment(place, sequence, event),
            None => self.unread(place, sequence),
        }
    }

    /// What cannot be read has its place in its stream all the same. A payment's record is found by its booking, which
    /// nobody can tell here; the gap shows at its next event.
    fn unread(&mut self, place: Place, sequence: Sequence) -> Result<(), Error> {
        let last = match place.kind {
            AggregateType::User => &mut self.users.get_or(place.id, UserRecord::default)?.sequence,
            AggregateType::Concert => &mut self.concerts.get_or(place.id, ConcertRecord::default)?.sequence,
            AggregateType::Booking => &mut self.bookings.get_or(place.id, BookingRecord::default)?.booking_sequence,
            AggregateType::Payment => return Ok(()),
        };
        in_order(last, sequence, place, &mut self.findings);
        Ok(())
    }

    fn user(&mut self, place: Place, sequence: Sequence, event: UserEvent) -> Result<(), Error> {
        let record = self.users.get_or(place.id, UserRecord::default)?;
        let was = record.sequence;
        in_order(&mut record.sequence, sequence, place, &mut self.findings);
        self.findings.count(Check::Transitions, 1);
        let wrong = match event {
            UserEvent::UserRegistered { .. } => (was.0 > 0).then_some("a user who is not registered"),
            UserEvent::UserErased { .. } => {
                let before = record.erased.replace(place.position);
                self.erased.insert(UserId(place.id), place.position);
                (was.0 == 0 || before.is_some()).then_some("a registered user who is not erased")
            }
        };
        if let Some(expected) = wrong {
            self.findings.breach(Check::Transitions, place.breach(expected, event.name()));
        }
        Ok(())
    }

    fn booking(&mut self, place: Place, sequence: Sequence, event: BookingEvent) -> Result<(), Error> {
        let record = self.bookings.get_or(place.id, BookingRecord::default)?;
        let findings = &mut self.findings;
        in_order(&mut record.booking_sequence, sequence, place, findings);
        findings.count(Check::Transitions, 1);
        if let Err((expected, found)) = lawful::booking(&record.booking, &event) {
            findings.breach(Check::Transitions, place.breach(expected, found));
        }
        let status = match event {
            BookingEvent::BookingRequested { .. } => {
                record.line = Some(Line {
                    id: place.position,
                    status: HistoryStatus::BookingRequested,
                    requested_micros: place.micros,
                    updated_micros: place.micros,
                    position: place.position,
                    payment: None,
                });
                HistoryStatus::BookingRequested
            }
            BookingEvent::BookingApproved { booking_id, payment_id, .. } => {
                findings.count(Check::Approvals, 1);
                let paid = record.payment.as_ref().is_some_and(|payment| payment.approved().is_some());
                let own = PaymentId::of(booking_id);
                if !paid || payment_id != own {
                    let expected = format!("PaymentApproved of payment {own} before it");
                    let found = if paid { format!("payment {payment_id}") } else { "none".to_owned() };
                    findings.breach(Check::Approvals, place.breach(expected, found));
                }
                record.was_approved = true;
                HistoryStatus::BookingApproved
            }
            BookingEvent::BookingRejected { .. } => {
                if let Err((expected, found)) = lawful::rejection(record.tickets.as_ref()) {
                    findings.breach(Check::Transitions, place.breach(expected, found));
                }
                HistoryStatus::BookingRejected
            }
            BookingEvent::BookingCanceled { .. } => HistoryStatus::BookingCanceled,
            BookingEvent::BookingExpired { .. } => HistoryStatus::BookingExpired,
        };
        record.told(status, place.position, place.micros);
        record.booking.apply(event);
        record.last = place.position;
        Ok(())
    }

    fn payment(&mut self, place: Place, sequence: Sequence, event: PaymentEvent) -> Result<(), Error> {
        let booking_id = booking_of(&event);
        let record = self.bookings.get_or(booking_id, BookingRecord::default)?;
        let findings = &mut self.findings;
        in_order(&mut record.payment_sequence, sequence, place, findings);
        findings.count(Check::Transitions, 1);
        let payment = record.payment.get_or_insert_default();
        if let Err((expected, found)) = lawful::payment(payment, &event) {
            findings.breach(Check::Transitions, place.breach(expected, found));
        }
        let own = payment.request().map(|request| request.payment_id.0);
        if own.is_some_and(|own| own != place.id) {
            let expected = format!("an event of payment {}, that of booking {booking_id}", own.unwrap_or_default());
            findings.breach(Check::Transitions, place.breach(expected, place.id));
        }
        match &event {
            PaymentEvent::PaymentRequested { payment_id, booking_id, qty, amount, .. } => {
                findings.count(Check::Bills, 1);
                let held = record.price.zip(record.tickets.as_ref());
                if held.is_none_or(|(price, tickets)| price != *amount || tickets.qty != *qty) {
                    let expected = format!("TicketsHeld of {} tickets for {} before it", qty.get(), amount.amount);
                    let found = held.map_or_else(
                        || "none".to_owned(),
                        |(price, tickets)| format!("{} tickets for {}", tickets.qty.get(), price.amount),
                    );
                    findings.breach(Check::Bills, place.breach(expected, found));
                }
                let own = PaymentId::of(*booking_id);
                if own != *payment_id {
                    findings.breach(Check::Transitions, place.breach(format!("payment {own}"), payment_id));
                }
                if let Some(line) = &mut record.line {
                    line.payment = Some((*payment_id, *amount));
                }
                record.told(HistoryStatus::PaymentRequested, place.position, place.micros);
            }
            PaymentEvent::PaymentApproved { .. } => {
                findings.count(Check::Money, 1);
                record.told(HistoryStatus::PaymentApproved, place.position, place.micros);
            }
            PaymentEvent::PaymentCanceled { .. } => {
                record.told(HistoryStatus::PaymentCanceled, place.position, place.micros);
            }
            PaymentEvent::PaymentAttempted { .. }
            | PaymentEvent::PaymentDeclined { .. }
            | PaymentEvent::PaymentAttemptAbandoned { .. }
            | PaymentEvent::PaymentPutOff { .. }
            | PaymentEvent::PaymentCancelRequested { .. } => {}
        }
        record.payment.get_or_insert_default().apply(event);
        record.last = place.position;
        Ok(())
    }

    fn concert(&mut self, place: Place, sequence: Sequence, event: ConcertEvent) -> Result<(), Error> {
        let concert = self.concerts.get_or(place.id, ConcertRecord::default)?;
        let booking = match &event {
            ConcertEvent::TicketsHeld { booking_id, .. }
            | ConcertEvent::TicketsRefused { booking_id, .. }
            | ConcertEvent::TicketsSold { booking_id, .. }
            | ConcertEvent::TicketsReleased { booking_id, .. } => {
                Some(self.bookings.get_or(booking_id.0, BookingRecord::default)?)
            }
            ConcertEvent::ConcertRegistered { .. } => {
                self.registered_concerts += u64::from(concert.terms.is_none());
                None
            }
            ConcertEvent::CapacityChanged { .. } | ConcertEvent::ConcertCanceled { .. } => None,
        };
        in_order(&mut concert.sequence, sequence, place, &mut self.findings);
        self.findings.count(Check::Transitions, 1);
        super::concert::push(place, concert, booking, event, &mut self.findings);
        Ok(())
    }
}

/// The event's place in its own stream.
fn in_order(last: &mut Sequence, sequence: Sequence, place: Place, findings: &mut Findings) {
    if sequence != last.next() {
        let expected = format!("sequence {}", last.next());
        findings.breach(Check::Streams, place.breach(expected, format!("sequence {sequence}")));
    }
    *last = sequence;
}

/// By its booking a payment's record is found.
const fn booking_of(event: &PaymentEvent) -> Uuid {
    match event {
        PaymentEvent::PaymentRequested { booking_id, .. }
        | PaymentEvent::PaymentAttempted { booking_id, .. }
        | PaymentEvent::PaymentDeclined { booking_id, .. }
        | PaymentEvent::PaymentAttemptAbandoned { booking_id, .. }
        | PaymentEvent::PaymentPutOff { booking_id, .. }
        | PaymentEvent::PaymentApproved { booking_id, .. }
        | PaymentEvent::PaymentCancelRequested { booking_id, .. }
        | PaymentEvent::PaymentCanceled { booking_id, .. } => booking_id.0,
    }
}
