//! `audit verify`: the whole log, once, against itself and against everything that is made from it.
//!
//! Three parts work side by side: one reads the log out of Postgres, one decodes it ([`decode`]), one folds it
//! ([`ledger`]). The fold keeps what it knows of each aggregate in bounded memory ([`crate::shelf`]). Then the mirror is
//! compared, message by message.

mod check;
mod concert;
mod decode;
mod derived;
mod fold;
mod last_signed;
mod lawful;
mod ledger;
mod mirror;
mod progress;
mod published;
mod records;
mod seals;
mod settled;
mod snapshots;
#[cfg(test)]
mod tests;
mod verification;

pub use check::{BREACHES_SHOWN_MAX, Breach, Check, Checked, Verdict};
pub use decode::Recorder;
pub use progress::Progress;
pub use seals::{Evidence, Kept, Seals};
pub use verification::{Report, Subject, verify};

use crate::Row;

/// A check beside that wants to see every row of the log, in order: [`Seals`].
pub trait LogCheck: Send {
    /// The next row. Whether positions have gaps is checked elsewhere.
    fn row(&mut self, row: &Row<'_>);
    /// There are no more.
    fn finish(self: Box<Self>, recorder: &mut Recorder<'_>);
}
