//! The saga: what follows, elsewhere, from what has happened.

mod hold;
mod react;
#[cfg(test)]
mod world;

pub use hold::{HoldVerdict, hold_verdict};
pub use react::{Command, booking_of, react};
