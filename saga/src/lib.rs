//! The saga at work: follows the log, decides with [`aggregates::saga::react`], and appends what follows.
//!
//! The events that follow from a batch and the checkpoint behind it are one unit of work, so each event is reacted to
//! exactly once, whatever is killed when.

mod deadlines;
mod office;
mod step;

pub use deadlines::Deadlines;
pub use office::{LEASE, run};
pub use step::{BATCH_EVENTS_MAX, CHECKPOINT, Saga, StepError};
