//! A concert as its events have made it.

use chrono::{DateTime, Utc};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::{Allotted, ConcertEvent};
use crate::{BookingId, ConcertId, Money, Qty, UserId};

/// The state of a concert.
///
/// Cloning is cheap whatever its size (the allotments share structure), because every command works on a clone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Concert {
    pub(super) terms: Option<Terms>,
    pub(super) counts: Counts,
    pub(super) canceled: bool,
    /// Every booking that ever asked, so that a repeated command finds what became of the first.
    pub(super) allotments: OrdMap<BookingId, Allotment>,
}

/// What the organizer set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The concert's own id.
    pub concert_id: ConcertId,
    /// Who sells it.
    pub organizer_id: UserId,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub venue: Option<String>,
    /// When it begins.
    pub starts_at: Option<DateTime<Utc>>,
    /// Tickets there were when it was registered.
    pub capacity_registered: u32,
    /// Of one ticket.
    pub price: Money,
    /// Tickets one booking may have.
    pub max_per_booking: Option<Qty>,
    /// Seconds from hold to expiry.
    pub hold_seconds: u32,
}

/// Tickets by what they are. `held + sold <= capacity` at every position of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tickets there are.
    pub capacity: u32,
    /// Set aside, not yet paid.
    pub held: u32,
    /// Paid and approved.
    pub sold: u32,
}

impl Counts {
    /// Tickets nobody has.
    pub const fn available(self) -> u32 {
        self.capacity.saturating_sub(self.held).saturating_sub(self.sold)
    }
}

/// What one booking has of the concert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allotment {
    /// Tickets asked for.
    pub qty: Qty,
    /// What became of it.
    pub state: AllotmentState,
    /// Until when the tickets are set aside, unless that is put off; `None` where none are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held_until: Option<DateTime<Utc>>,
}

impl Allotment {
    /// Whether the booking has tickets now.
    pub const fn has_tickets(&self) -> bool {
        match self.state {
            AllotmentState::Held | AllotmentState::Sold => true,
            AllotmentState::Released | AllotmentState::Refused => false,
        }
    }
}

/// What became of a booking's request for tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllotmentState {
    /// Set aside.
    Held,
    /// Bought.
    Sold,
    /// Given back; it never becomes held again.
    Released,
    /// It got none.
    Refused,
}

impl Concert {
    /// What the organizer set; `None` where no such concert was registered.
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// Tickets by what they are.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether it was called off.
    pub const fn is_canceled(&self) -> bool {
        self.canceled
    }

    /// What `booking` has of it.
    pub fn allotment(&self, booking: BookingId) -> Option<Allotment> {
        self.allotments.get(&booking).copied()
    }

    /// Every booking that ever asked, by id.
    pub fn allotments(&self) -> impl Iterator<Item = (BookingId, Allotment)> {
        self.allotments.iter().map(|(id, allotment)| (*id, *allotment))
    }

    pub(super) fn evolve(&mut self, event: ConcertEvent) {
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
                self.counts.capacity = capacity;
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
            ConcertEvent::CapacityChanged { capacity, .. } => self.counts.capacity = capacity,
            ConcertEvent::TicketsHeld { booking_id, qty, expires_at, .. } => {
                self.counts.held += qty.get();
                self.allot(booking_id, qty, AllotmentState::Held, Some(expires_at));
            }
            ConcertEvent::TicketsRefused { booking_id, qty, .. } => {
                self.allot(booking_id, qty, AllotmentState::Refused, None);
            }
            ConcertEvent::TicketsSold { booking_id, qty, .. } => {
                self.counts.held -= qty.get();
                self.counts.sold += qty.get();
                self.allot(booking_id, qty, AllotmentState::Sold, None);
            }
            ConcertEvent::TicketsReleased { booking_id, qty, was, .. } => {
                match was {
                    Allotted::Held => self.counts.held -= qty.get(),
                    Allotted::Sold => self.counts.sold -= qty.get(),
                }
                self.allot(booking_id, qty, AllotmentState::Released, None);
            }
            ConcertEvent::ConcertCanceled { .. } => self.canceled = true,
        }
    }

    fn allot(&mut self, booking: BookingId, qty: Qty, state: AllotmentState, held_until: Option<DateTime<Utc>>) {
        self.allotments.insert(booking, Allotment { qty, state, held_until });
    }
}

#[cfg(test)]
pub(super) mod given {
    //! Histories that the tests of the decisions start from.

    use chrono::{DateTime, Utc};
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::{Concert, ConcertEvent};
    use crate::{BookingId, ConcertId, Money, Qty, UserId};

    pub const CONCERT: ConcertId = ConcertId(Uuid::from_u128(1));
    pub const ORGANIZER: UserId = UserId(Uuid::from_u128(2));
    pub const FAN: UserId = UserId(Uuid::from_u128(3));
    pub const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(0);

    pub fn booking(n: u128) -> BookingId {
        BookingId(Uuid::from_u128(100 + n))
    }

    pub fn qty(n: u32) -> Qty {
        Qty::new(n).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn registered(capacity: u32) -> ConcertEvent {
        ConcertEvent::ConcertRegistered {
            concert_id: CONCERT,
            organizer_id: ORGANIZER,
            name: "Autumn".to_owned(),
            venue: None,
            starts_at: None,
            capacity,
            price: Money::krw(110_000),
            max_per_booking: Some(qty(4)),
            hold_seconds: 600,
        }
    }

    pub fn held(n: u128, tickets: u32) -> ConcertEvent {
        ConcertEvent::TicketsHeld {
            concert_id: CONCERT,
            booking_id: booking(n),
            user_id: FAN,
            qty: qty(tickets),
            amount: Money::krw(110_000).times(qty(tickets)),
            expires_at: NOW + chrono::Duration::seconds(600),
        }
    }

    pub fn sold(n: u128, tickets: u32) -> ConcertEvent {
        ConcertEvent::TicketsSold { concert_id: CONCERT, booking_id: booking(n), qty: qty(tickets) }
    }

    pub fn canceled() -> ConcertEvent {
        ConcertEvent::ConcertCanceled { concert_id: CONCERT }
    }

    pub fn concert() -> TestFramework<Concert> {
        TestFramework::with(())
    }
}
