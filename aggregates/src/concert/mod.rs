//! The concert: what is sold, how many tickets there are, and which booking holds or has bought how many.

mod cancel;
mod change_capacity;
mod command;
mod event;
mod hold;
mod register;
mod release;
mod sell;
mod state;

pub use command::{ConcertCommand, ConcertError};
pub use event::{Allotted, ConcertEvent, RefusalReason};
pub use register::{CAPACITY_MAX, HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, HOLD_SECONDS_MIN, NAME_CHARS_MAX, Register};
pub use state::{Allotment, AllotmentState, Concert, Counts, Terms};

crate::decide::aggregate!(
    Concert,
    Concert,
    "concert",
    ConcertCommand,
    ConcertEvent {
        ConcertRegistered,
        CapacityChanged,
        TicketsHeld,
        TicketsRefused,
        TicketsSold,
        TicketsReleased,
        ConcertCanceled,
    },
    ConcertError
);
