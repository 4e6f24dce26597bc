//! What the tests are told in: a running system, people who use it, and what they are answered.

mod answer;
mod audit;
mod books;
mod boxoffice;
mod client;
mod crowd;
mod invariants;
mod launch;
mod log;
mod mirror;
mod people;
mod processes;
mod provider;
mod python;
mod scale;
mod settings;
mod settled;
mod sse;

use std::time::Duration;

pub use answer::Answer;
pub use audit::{assert_verified, audit, said};
pub use books::assert_books_agree;
pub use boxoffice::{Boxoffice, Server};
pub use client::{Client, PRICE, concert_of};
pub use crowd::{Crowd, Promise, assert_in_log, assert_still_said};
pub use invariants::assert_sound;
pub use launch::{binary, command, free_port};
pub use log::{Entry, Log};
pub use mirror::{assert_mirrored, messages, stream_state};
pub use people::{Fan, PASSWORD};
pub use processes::alive;
pub use provider::Provider;
pub use python::{python, python_unless_skipped};
pub use scale::scale;
pub use sse::Live;
pub use stack::testing::eventually;

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(30);
