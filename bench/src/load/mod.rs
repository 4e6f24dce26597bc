//! Load: many connections that do the same thing again and again, and how long each time took.

mod connection;
mod crowd;
mod latency;

pub(crate) use connection::{Answer, Ask, Connection};
pub(crate) use crowd::{Load, Outcome, Pace, Visit, drive};
pub(crate) use latency::Latency;
