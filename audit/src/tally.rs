//! A concert by its numbers, folded from its events: small whatever was booked.

use aggregates::{
    ConcertEvent,
    concert::{Allotted, Terms},
};
use serde::Serialize;

/// Tickets by what they are. Signed: a log that breaks an invariant is shown as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tickets {
    /// Tickets there are.
    pub capacity: i64,
    /// Set aside, not yet paid.
    pub held: i64,
    /// Paid and approved.
    pub sold: i64,
    /// Tickets nobody has.
    pub available: i64,
}

/// Bookings by what they have of the concert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bookings {
    /// Tickets are held for them.
    pub held: i64,
    /// They have bought theirs.
    pub sold: i64,
    /// They gave theirs back.
    pub released: i64,
    /// They got none.
    pub refused: i64,
}

/// A concert as its events have made it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// What the organizer set.
    pub terms: Option<Terms>,
    /// Whether it was called off.
    pub canceled: bool,
    /// Its tickets.
    pub tickets: Tickets,
    /// Its bookings.
    pub bookings: Bookings,
}

impl Tally {
    /// Takes the next event.
    pub fn push(&mut self, event: ConcertEvent) {
        let (tickets, bookings) = (&mut self.tickets, &mut self.bookings);
        match event {
            ConcertEvent::ConcertRegistered {
                concert_id,
                organizer_id,
                name,
                venue,
                starts_at,
                capacity,
                price,
                max_per_booking,
                hold_seconds,
            } => {
                tickets.capacity = capacity.into();
                self.terms = Some(Terms {
                    concert_id,
                    organizer_id,
                    name,
                    venue,
                    starts_at,
                    capacity_registered: capacity,
                    price,
                    max_per_booking,
                    hold_seconds,
                });
            }
            ConcertEvent::CapacityChanged { capacity, .. } => tickets.capacity = capacity.into(),
            ConcertEvent::TicketsHeld { qty, .. } => {
                tickets.held += i64::from(qty.get());
                bookings.held += 1;
            }
            ConcertEvent::TicketsRefused { .. } => bookings.refused += 1,
            ConcertEvent::TicketsSold { qty, .. } => {
                tickets.held -= i64::from(qty.get());
                tickets.sold += i64::from(qty.get());
                bookings.held -= 1;
                bookings.sold += 1;
            }
            ConcertEvent::TicketsReleased { qty, was, .. } => {
                let (of_tickets, of_bookings) = match was {
                    Allotted::Held => (&mut tickets.held, &mut bookings.held),
                    Allotted::Sold => (&mut tickets.sold, &mut bookings.sold),
                };
                *of_tickets -= i64::from(qty.get());
                *of_bookings -= 1;
                bookings.released += 1;
            }
            ConcertEvent::ConcertCanceled { .. } => self.canceled = true,
        }
        tickets.available = tickets.capacity - tickets.held - tickets.sold;
    }
}
