//! The whole system from outside: the binary, its HTTP, its log and the log's mirror, against the published contract.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bad_input;
mod booking;
mod command_line;
mod crash;
mod idempotency;
mod independent;
mod layers;
mod live;
mod log;
mod operations;
mod payments;
mod side_by_side;
mod signals;
mod support;
mod users;
mod waiting;
