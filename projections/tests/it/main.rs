//! The projections on a real Postgres and SQLite, fed from a real journal.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod counts;
mod crash;
mod files;
mod histories;
mod outage;
mod parking;
mod poison;
mod rebuild;
mod sources;
mod speed;
mod views;
mod world;
