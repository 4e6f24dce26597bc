//! `boxoffice mirror` and `boxoffice restore-check`: the copy of the log in JetStream, made anew, or asked what Postgres lost.

mod lost;
mod refill;

pub(crate) use lost::{RestoreCheck, run as restore_check};
pub(crate) use refill::{Command, run};
