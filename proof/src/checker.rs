//! What must be true of every log at every position of it (invariants 1 to 3 of the architecture), and once everything
//! has settled (4, 7 and 8, and the money to the won).

mod bookings;
mod end;
mod money;

use std::collections::BTreeMap;

use aggregates::{
    Booking, BookingEvent, BookingId, Concert, ConcertEvent, ConcertId, Event, Payment, PaymentEvent, PaymentId,
};
use cqrs_es::Aggregate;

pub use self::end::Moved;
use self::{bookings::Traces, money::Purse};
use crate::Breach;

/// Why an event is in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The event that the saga reacted to by this one.
    pub reaction_to: Option<u64>,
    /// The unit of work it was written in.
    pub unit: String,
}

/// Reads a log from its first event, and folds it.
#[derive(Debug, Default)]
pub struct Checker {
    last: u64,
    concerts: BTreeMap<ConcertId, Concert>,
    bookings: BTreeMap<BookingId, Booking>,
    payments: BTreeMap<PaymentId, Payment>,
    traces: BTreeMap<BookingId, Traces>,
    purses: BTreeMap<PaymentId, Purse>,
    /// For each event that the saga reacted to, the unit in which it did.
    reactions: BTreeMap<u64, String>,
}

impl Checker {
    /// Takes the next event.
    pub fn push(&mut self, position: u64, event: &Event, origin: &Origin) -> Result<(), Breach> {
        let breach = |what: String| Breach::at(position, format!("{}: {what}", event.name()));
        if position != self.last + 1 {
            return Err(breach(format!("the position after {} is missing", self.last)));
        }
        self.last = position;
        self.react_once(origin).map_err(breach)?;
        match event {
            Event::Concert(event) => self.concert(event),
            Event::Booking(event) => self.booking(event),
            Event::Payment(event) => self.payment(event),
            Event::User(_) => Ok(()),
        }
        .map_err(breach)
    }

    /// Invariant 7: what follows from an event was written once, as one.
    fn react_once(&mut self, origin: &Origin) -> Result<(), String> {
        let Some(cause) = origin.reaction_to else { return Ok(()) };
        let unit = self.reactions.entry(cause).or_insert_with(|| origin.unit.clone());
        if *unit == origin.unit { Ok(()) } else { Err(format!("the saga reacts to {cause} for the second time")) }
    }

    fn payment(&mut self, event: &PaymentEvent) -> Result<(), String> {
        let payment = payment_of(event);
        self.purses.entry(payment).or_default().note(event)?;
        if let PaymentEvent::PaymentRequested { booking_id, amount, .. } = event {
            self.traces.entry(*booking_id).or_default().billed(*amount)?;
        }
        self.payments.entry(payment).or_default().apply(event.clone());
        Ok(())
    }
}

pub(crate) const fn concert_of(event: &ConcertEvent) -> ConcertId {
    match event {
        ConcertEvent::ConcertRegistered { concert_id, .. }
        | ConcertEvent::CapacityChanged { concert_id, .. }
        | ConcertEvent::TicketsHeld { concert_id, .. }
        | ConcertEvent::TicketsRefused { concert_id, .. }
        | ConcertEvent::TicketsSold { concert_id, .. }
        | ConcertEvent::TicketsReleased { concert_id, .. }
        | ConcertEvent::ConcertCanceled { concert_id } => *concert_id,
    }
}

pub(crate) const fn booking_of(event: &BookingEvent) -> BookingId {
    match event {
        BookingEvent::BookingRequested { booking_id, .. }
        | BookingEvent::BookingApproved { booking_id, .. }
        | BookingEvent::BookingRejected { booking_id, .. }
        | BookingEvent::BookingCanceled { booking_id, .. }
        | BookingEvent::BookingExpired { booking_id, .. } => *booking_id,
    }
}

pub(crate) const fn payment_of(event: &PaymentEvent) -> PaymentId {
    match event {
        PaymentEvent::PaymentRequested { payment_id, .. }
        | PaymentEvent::PaymentAttempted { payment_id, .. }
        | PaymentEvent::PaymentDeclined { payment_id, .. }
        | PaymentEvent::PaymentAttemptAbandoned { payment_id, .. }
        | PaymentEvent::PaymentPutOff { payment_id, .. }
        | PaymentEvent::PaymentApproved { payment_id, .. }
        | PaymentEvent::PaymentCancelRequested { payment_id, .. }
        | PaymentEvent::PaymentCanceled { payment_id, .. } => *payment_id,
    }
}
