//! Seals on a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod checking;
mod keys;
mod publishing;
mod receipts;
mod sealing;
mod support;
mod tampering;
