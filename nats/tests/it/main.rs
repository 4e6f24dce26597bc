//! The mirror on a real Postgres and a real nats-server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod checkpoints;
mod connecting;
mod divergence;
mod election;
mod envelope;
mod extent;
mod refill;
mod relay;
mod source;
mod source_doubts;
mod stream;
mod support;
