//! Tickets and bookings: no oversell, no effect before its cause, nothing twice.

use aggregates::{BookingEvent, BookingId, BookingStatus, ConcertEvent, Money, PaymentId, Qty};
use cqrs_es::Aggregate;

use super::{Checker, booking_of, concert_of, money::Purse};

/// What has happened to one booking so far.
#[derive(Debug, Default)]
pub(super) struct Traces {
    requested: Option<Qty>,
    price: Option<Money>,
    tickets: Tickets,
    status: Option<BookingStatus>,
    was_approved: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tickets {
    #[default]
    None,
    Refused,
    Held,
    Sold,
    Released,
}

fn after(holds: bool, cause: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("there is no {cause} before it")) }
}

impl Traces {
    /// Invariant 3.
    pub fn billed(&self, amount: Money) -> Result<(), String> {
        match self.price {
            None => after(false, "TicketsHeld"),
            Some(price) if price != amount => Err(format!("{amount:?} for tickets of {price:?}")),
            Some(_) => Ok(()),
        }
    }

    /// Its tickets become something else, which they can only from one of these.
    fn tickets(&mut self, from: &[Tickets], to: Tickets) -> Result<(), String> {
        if from.contains(&self.tickets) {
            self.tickets = to;
            return Ok(());
        }
        Err(format!("tickets that are {:?} become {to:?}", self.tickets))
    }

    /// The booking becomes something else, which it can only from one of these.
    fn becomes(&mut self, from: &[BookingStatus], to: BookingStatus) -> Result<(), String> {
        if self.status.is_some_and(|status| from.contains(&status)) {
            self.status = Some(to);
            return Ok(());
        }
        Err(format!("a booking that is {:?} becomes {to}", self.status))
    }

    fn is_over(&self) -> bool {
        self.status.is_some_and(|status| !status.is_live())
    }
}

impl Checker {
    pub(super) fn concert(&mut self, event: &ConcertEvent) -> Result<(), String> {
        self.trace(event)?;
        let concert = self.concerts.entry(concert_of(event)).or_default();
        concert.apply(event.clone());
        let counts = concert.counts();
        // Invariant 1.
        if counts.held + counts.sold > counts.capacity {
            return Err(format!("oversold: {counts:?}"));
        }
        Ok(())
    }

    fn trace(&mut self, event: &ConcertEvent) -> Result<(), String> {
        match *event {
            ConcertEvent::TicketsHeld { booking_id, qty, amount, .. } => {
                let traces = self.asked(booking_id, qty)?;
                traces.price = Some(amount);
                traces.tickets(&[Tickets::None], Tickets::Held)
            }
            ConcertEvent::TicketsRefused { booking_id, qty, .. } => {
                self.asked(booking_id, qty)?.tickets(&[Tickets::None], Tickets::Refused)
            }
            ConcertEvent::TicketsSold { booking_id, qty, .. } => {
                let traces = self.asked(booking_id, qty)?;
                // It may have ended since.
                after(traces.was_approved, "BookingApproved")?;
                traces.tickets(&[Tickets::Held], Tickets::Sold)
            }
            ConcertEvent::TicketsReleased { booking_id, qty, .. } => {
                let traces = self.asked(booking_id, qty)?;
                after(traces.is_over(), "end of its booking")?;
                traces.tickets(&[Tickets::Held, Tickets::Sold], Tickets::Released)
            }
            ConcertEvent::ConcertRegistered { .. }
            | ConcertEvent::CapacityChanged { .. }
            | ConcertEvent::ConcertCanceled { .. } => Ok(()),
        }
    }

    /// What has happened to the booking that asked for these tickets.
    fn asked(&mut self, booking: BookingId, qty: Qty) -> Result<&mut Traces, String> {
        let traces = self.traces.entry(booking).or_default();
        after(traces.requested == Some(qty), "BookingRequested for as many tickets")?;
        Ok(traces)
    }

    pub(super) fn booking(&mut self, event: &BookingEvent) -> Result<(), String> {
        use BookingStatus::{BookingApproved, BookingCanceled, BookingExpired, BookingRejected, BookingRequested};
        let booking = booking_of(event);
        let payment = PaymentId::of(booking);
        self.bookings.entry(booking).or_default().apply(event.clone());
        let is_paid = self.purses.get(&payment).is_some_and(Purse::is_ours);
        let is_being_paid = self.payments.get(&payment).is_some_and(|payment| payment.in_flight().is_some());
        let traces = self.traces.entry(booking).or_default();
        match *event {
            BookingEvent::BookingRequested { qty, .. } => {
                after(traces.requested.replace(qty).is_none(), "end of the first")?;
                traces.status = Some(BookingRequested);
                Ok(())
            }
            // Invariant 2.
            BookingEvent::BookingApproved { .. } => {
                after(is_paid, "PaymentApproved")?;
                traces.was_approved = true;
                traces.becomes(&[BookingRequested], BookingApproved)
            }
            BookingEvent::BookingRejected { .. } => {
                after(traces.tickets == Tickets::Refused, "TicketsRefused")?;
                traces.becomes(&[BookingRequested], BookingRejected)
            }
            BookingEvent::BookingExpired { .. } => {
                after(!is_being_paid, "end of the try to pay")?;
                traces.becomes(&[BookingRequested], BookingExpired)
            }
            BookingEvent::BookingCanceled { .. } => {
                traces.becomes(&[BookingRequested, BookingApproved], BookingCanceled)
            }
        }
    }
}
