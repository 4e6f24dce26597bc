//! What can have happened to a concert.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{BookingId, ConcertId, Money, Qty, UserId};

/// A fact about a concert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ConcertEvent {
    /// An organizer put it on sale.
    ConcertRegistered {
        /// Which concert.
        concert_id: ConcertId,
        /// Who sells it.
        organizer_id: UserId,
        /// What it is called.
        name: String,
        /// Where it is.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        venue: Option<String>,
        /// When it begins.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        starts_at: Option<DateTime<Utc>>,
        /// Tickets there are.
        capacity: u32,
        /// Of one ticket.
        price: Money,
        /// Tickets one booking may have, where the organizer limits it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        max_per_booking: Option<Qty>,
        /// Seconds from hold to expiry.
        hold_seconds: u32,
    },
    /// There are now more or fewer tickets.
    CapacityChanged {
        /// Which concert.
        concert_id: ConcertId,
        /// Tickets there were.
        previous: u32,
        /// Tickets there are.
        capacity: u32,
    },
    /// Tickets are set aside for a booking until it is paid, cancelled or expired.
    TicketsHeld {
        /// Which concert.
        concert_id: ConcertId,
        /// For which booking.
        booking_id: BookingId,
        /// Whose booking it is.
        user_id: UserId,
        /// How many.
        qty: Qty,
        /// What they cost together.
        amount: Money,
        /// Until when they are kept unpaid.
        expires_at: DateTime<Utc>,
    },
    /// No tickets for this booking.
    TicketsRefused {
        /// Which concert.
        concert_id: ConcertId,
        /// For which booking.
        booking_id: BookingId,
        /// How many were asked for.
        qty: Qty,
        /// Why not.
        reason: RefusalReason,
        /// Tickets that were left at that moment.
        available: u32,
    },
    /// Held tickets are paid for.
    TicketsSold {
        /// Which concert.
        concert_id: ConcertId,
        /// To which booking.
        booking_id: BookingId,
        /// How many.
        qty: Qty,
    },
    /// Tickets are free again.
    TicketsReleased {
        /// Which concert.
        concert_id: ConcertId,
        /// By which booking.
        booking_id: BookingId,
        /// How many.
        qty: Qty,
        /// What they were until now.
        was: Allotted,
    },
    /// The concert will not take place.
    ConcertCanceled {
        /// Which concert.
        concert_id: ConcertId,
    },
}

/// Why a booking got no tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// Fewer tickets are left than were asked for.
    SoldOut,
    /// The organizer allows fewer in one booking.
    MaxPerBooking,
    /// The concert was cancelled.
    ConcertCanceled,
    /// No such concert was ever registered.
    NoSuchConcert,
}

/// What released tickets were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allotted {
    /// Held, not paid.
    Held,
    /// Sold.
    Sold,
}
