//! The whole system from outside: the binary, its HTTP, its log and the log's mirror, against the published contract.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod audit;
mod bad_input;
mod booking;
mod command_line;
mod concert_cancellation;
mod crash;
mod expiry;
mod idempotency;
mod in_trouble;
mod independent;
mod layers;
mod live;
mod log;
mod money_run;
mod operations;
mod organizers;
mod payments;
mod rebuild;
mod seals;
mod side_by_side;
mod signals;
mod slow_provider;
mod status;
mod support;
mod toss_client;
mod users;
mod waiting;
mod webhooks;
