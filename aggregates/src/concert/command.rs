//! What can be asked of a concert, and why it can be refused.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{Concert, ConcertEvent, Register};
use crate::{BookingId, ConcertId, Qty, UserId};

/// A request to a concert.
#[derive(Clone, Debug, PartialEq)]
pub enum ConcertCommand {
    /// Put it on sale.
    Register(Register),
    /// Set the number of tickets.
    ChangeCapacity {
        /// Tickets there shall be.
        capacity: u32,
    },
    /// Set tickets aside for a booking.
    Hold {
        /// The concert asked for; its stream is empty where there is no such concert.
        concert_id: ConcertId,
        /// For which booking.
        booking_id: BookingId,
        /// Whose booking it is.
        user_id: UserId,
        /// How many.
        qty: Qty,
        /// The time now, from which the hold counts.
        now: DateTime<Utc>,
    },
    /// Count a booking's held tickets as sold.
    Sell {
        /// Which booking's.
        booking_id: BookingId,
    },
    /// Free a booking's tickets.
    Release {
        /// Which booking's.
        booking_id: BookingId,
    },
    /// Call the concert off.
    Cancel,
}

/// Why a concert refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConcertError {
    /// It was never registered.
    #[error("there is no such concert")]
    NoSuchConcert,
    /// Its id is taken by a concert with other terms.
    #[error("a concert with this id is registered already, with other terms")]
    AlreadyRegistered,
    /// It was called off.
    #[error("the concert was cancelled")]
    Canceled,
    /// Fewer tickets than are held and sold already, none, or more than [`super::CAPACITY_MAX`].
    #[error("capacity {capacity} is not between {least}, the tickets held and sold, and {}", super::CAPACITY_MAX)]
    CapacityOutOfRange {
        /// What was asked for.
        capacity: u32,
        /// The lowest it can be now.
        least: u32,
    },
    /// A term of the sale is out of its range.
    #[error("{term} is out of range: {rule}")]
    TermOutOfRange {
        /// Which term.
        term: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// Tickets can be sold only to a booking that holds some.
    #[error("booking {0} holds no tickets of this concert")]
    NotHeld(BookingId),
}

impl Concert {
    /// What follows from `command`.
    pub fn decide(&self, command: ConcertCommand) -> Result<Vec<ConcertEvent>, ConcertError> {
        match command {
            ConcertCommand::Register(terms) => self.register(terms),
            ConcertCommand::ChangeCapacity { capacity } => self.change_capacity(capacity),
            ConcertCommand::Hold { concert_id, booking_id, user_id, qty, now } => {
                Ok(self.hold(concert_id, booking_id, user_id, qty, now))
            }
            ConcertCommand::Sell { booking_id } => self.sell(booking_id),
            ConcertCommand::Release { booking_id } => self.release(booking_id),
            ConcertCommand::Cancel => self.cancel(),
        }
    }
}
