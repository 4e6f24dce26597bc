//! The domain of Boxoffice: four event-sourced aggregates and the saga's decision.
//!
//! Nothing here does I/O, reads a clock or draws a random number: time, ids and prices come in as values, and every
//! decision is a synchronous function from a state and a command to events or a refusal.

pub mod booking;
pub mod concert;
mod decide;
mod event;
mod ids;
mod money;
pub mod payment;
mod qty;
pub mod saga;
mod upcast;
pub mod user;

pub use booking::{Booking, BookingCommand, BookingError, BookingEvent, BookingStatus};
pub use concert::{Concert, ConcertCommand, ConcertError, ConcertEvent, Counts};
pub use decide::{AggregateType, Decide};
pub use event::{DecodeError, Event};
pub use ids::{AttemptId, BookingId, ConcertId, PaymentId, UserId};
pub use money::{Currency, Money};
pub use payment::{Payment, PaymentCommand, PaymentError, PaymentEvent, PaymentStatus};
pub use qty::{Qty, QtyOutOfRange};
pub use upcast::Upcasters;
pub use user::{Role, Sealed, User, UserCommand, UserError, UserEvent};
