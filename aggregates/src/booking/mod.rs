//! The booking: a fan's request for tickets, and what became of it.

mod approve;
mod cancel;
mod command;
mod event;
mod expire;
mod reject;
mod request;
mod state;

pub use command::{BookingCommand, BookingError};
pub use event::{BookingEvent, CancelReason};
pub use state::{Booking, BookingStatus, Rejection, Request};

crate::decide::aggregate!(
    Booking,
    Booking,
    "booking",
    BookingCommand,
    BookingEvent { BookingRequested, BookingApproved, BookingRejected, BookingCanceled, BookingExpired },
    BookingError
);
