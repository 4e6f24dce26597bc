//! The proof that bookings and money come out right whatever fails, crashes, is repeated or comes late.
//!
//! A world in [`memory`] carries bookings through with the product's own decisions, on a log, a provider and a clock of
//! its own. Every step of it (a command, an event handled, a call of the provider, a commit) passes a gate where it can
//! be made to fail, to crash its process before or after its effect, to be repeated, or to come late. A [`Checker`]
//! reads the log as it grows, and compares the money with the provider's books when everything has settled. The same
//! checker reads the logs that the real stack has left (`tests/it/real`).

pub mod bank;
mod breach;
mod checker;
mod dice;
pub mod memory;
mod tally;

pub use breach::Breach;
pub use checker::{Checker, Moved, Origin};
pub use dice::Dice;
pub use tally::Tally;
