//! The journal on a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod ambiguous;
mod attachments;
mod cancelled;
mod cqrs;
mod crash;
mod dependants;
mod elections;
mod following;
mod order;
mod snapshots;
mod support;
mod units;
