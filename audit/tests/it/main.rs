//! Audits of a real log, made by the product itself on real servers, and of what was made from it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod exported;
mod generations;
mod mirror;
mod places;
mod published;
mod rewritten;
mod sale;
mod tampering;
mod world;
