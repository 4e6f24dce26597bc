//! Blue and green: a projection is folded anew from the log beside the live copy, compared with it at the same position,
//! and put in its place in one transaction. Reads and writes go on meanwhile, and what was killed goes on where it was.

mod copy;
mod copy_state;
mod job;
mod log;
mod outcome;
mod stages;

pub use copy_state::CopyState;
pub(crate) use job::Work;
pub use job::{Job, run_mypage, run_ticket_counts};
pub(crate) use log::Read;
pub use log::{Log, journal, source};
pub use outcome::{Difference, FieldDifference, Outcome};
pub(crate) use outcome::{Differences, differing};
pub(crate) use stages::Stages;
pub use stages::{Phase, Stage};

/// Differences to the live copy that are shown, at most; all are counted.
pub const DIFFERENCES_SHOWN_MAX: usize = 20;
/// Concerts folded in memory at once, at most: about 400 bytes each.
pub const CONCERTS_MAX: usize = 500_000;
/// Events of the log read, folded and written as one while a new copy is loaded: what a kill loses at most, and what
/// bounds the memory.
pub const SEGMENT_EVENTS: u64 = 250_000;
/// Events that may be missing when the live copy is held back to be compared and switched.
pub const SWITCH_EVENTS_MAX: u64 = 2_000;
