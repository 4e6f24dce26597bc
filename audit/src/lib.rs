//! The log as evidence: verified, told, replayed, exported, and asked why and what if.
//!
//! Everything here only looks. It reads Postgres in bounded memory whatever the log's length, and what is made from the log
//! where that is stored.

mod curve;
mod error;
mod events;
mod export;
mod log;
mod plot;
mod replay;
mod scan;
mod shelf;
mod tally;
pub mod verify;
mod what_if;
mod why;

pub use curve::{Point, Thinned, curve};
pub use error::Error;
pub use events::{Range, Told, Whose, event_at, events};
pub use export::{Format, export};
pub use log::{Row, Snapshot};
pub use plot::svg;
pub use replay::{At, Change, Replayed, replay};
pub use scan::scan;
pub use tally::{Bookings, Tally, Tickets};
pub use what_if::{ASSUMPTIONS, Outcome, Policy, WhatIf, what_if};
pub use why::{HOLDERS_TOLD_MAX, Holder, Why, why};
