//! Seals as this process makes them, and what an operator does with their keys.

mod command;
mod task;

pub(crate) use command::{Seals, run as run_command};
pub(crate) use task::{NAME, PublishedCheckpoints, run};
