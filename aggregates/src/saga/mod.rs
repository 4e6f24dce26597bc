//! The saga: what follows, elsewhere, from what has happened.

mod react;
#[cfg(test)]
mod world;

pub use react::{Command, booking_of, react};
