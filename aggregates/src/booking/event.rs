//! What can have happened to a booking.

use serde::{Deserialize, Serialize};

use crate::{BookingId, ConcertId, PaymentId, Qty, UserId, concert::RefusalReason};

/// A fact about a booking. Each carries the whole request, so that saga and projections need no other lookup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum BookingEvent {
    /// A fan asked for tickets.
    BookingRequested {
        /// Which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// How many tickets.
        qty: Qty,
    },
    /// It is paid: the tickets are the fan's.
    BookingApproved {
        /// Which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// How many tickets.
        qty: Qty,
        /// What it was paid by.
        payment_id: PaymentId,
    },
    /// There were no tickets for it.
    BookingRejected {
        /// Which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// How many tickets.
        qty: Qty,
        /// Why not.
        reason: RefusalReason,
        /// Tickets that were left when it was refused.
        available: u32,
    },
    /// It was called off, before or after it was paid.
    BookingCanceled {
        /// Which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// How many tickets.
        qty: Qty,
        /// By whom.
        reason: CancelReason,
    },
    /// It was not paid in time.
    BookingExpired {
        /// Which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// How many tickets.
        qty: Qty,
    },
}

/// Who called a booking off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelReason {
    /// The fan.
    ByFan,
    /// The organizer.
    ByOrganizer,
    /// Its concert was cancelled.
    ConcertCanceled,
    /// Somebody gave all its money back at the provider, past us.
    RefundedByProvider,
}
