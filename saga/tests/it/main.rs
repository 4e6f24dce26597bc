//! The saga on a real journal.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod cancellations;
mod deadlines;
mod exactly_once;
mod flow;
mod races;
mod support;
