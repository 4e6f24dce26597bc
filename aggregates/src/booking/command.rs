//! What can be asked of a booking, and why it can be refused.

use thiserror::Error;

use super::{Booking, BookingEvent, BookingStatus, CancelReason, Request};
use crate::{PaymentId, concert::RefusalReason};

/// A request to a booking.
#[derive(Clone, Debug, PartialEq)]
pub enum BookingCommand {
    /// Open it.
    Request(Request),
    /// Its payment is approved.
    Approve {
        /// Which payment.
        payment_id: PaymentId,
    },
    /// It gets no tickets.
    Reject {
        /// Why not.
        reason: RefusalReason,
        /// Tickets that were left.
        available: u32,
    },
    /// Call it off.
    Cancel {
        /// Who does.
        reason: CancelReason,
    },
    /// Its time to pay is over.
    Expire,
}

/// Why a booking refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BookingError {
    /// It was never requested.
    #[error("there is no such booking")]
    NoSuchBooking,
    /// Its id is taken by another request: an idempotency key was used for something else.
    #[error("this booking was requested already, for other tickets")]
    RequestedOtherwise,
    /// It has ended, or is not where this could follow.
    #[error("a booking that is {from} cannot become {to}")]
    IllegalTransition {
        /// What it is.
        from: BookingStatus,
        /// What it was asked to be.
        to: BookingStatus,
    },
}

impl Booking {
    /// What follows from `command`.
    pub fn decide(&self, command: BookingCommand) -> Result<Vec<BookingEvent>, BookingError> {
        match command {
            BookingCommand::Request(request) => self.open(request),
            BookingCommand::Approve { payment_id } => self.approve(payment_id),
            BookingCommand::Reject { reason, available } => self.reject(reason, available),
            BookingCommand::Cancel { reason } => self.cancel(reason),
            BookingCommand::Expire => self.expire(),
        }
    }
}
