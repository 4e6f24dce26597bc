//! The saga at work: follows the log, decides with [`aggregates::saga::react`], and appends what follows.
//!
//! The events that follow from a batch and the checkpoint behind it are one unit of work, so each event is reacted to
//! exactly once, whatever is killed when.

mod cancellations;
mod deadlines;
mod holds;
mod office;
mod pace;
mod step;

pub use cancellations::{CHECKPOINT as CANCELLATIONS_CHECKPOINT, Cancellations};
pub use deadlines::Deadlines;
pub use office::{LEASE, run};
pub use pace::{Pace, WAIT_MAX};
pub use step::{BATCH_EVENTS_MAX, CHECKPOINT, Saga, StepError};
