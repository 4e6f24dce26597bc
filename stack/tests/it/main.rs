//! Real servers, started, killed, left behind and started again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod nats;
mod orphans;
mod postgres;
