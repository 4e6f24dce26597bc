//! `boxoffice status`: where the system stands, on one screen.
//!
//! It only looks: what is in Postgres and NATS is read there, what only a process knows from the row that each process
//! writes ([`crate::vitals`]). So it works from anywhere that reaches these two, also where no process answers any more.

mod command;
mod events;
pub(crate) mod figures;
mod look;
mod money;
pub(crate) mod place;
mod rebuilds;
mod report;
#[cfg(test)]
mod sample;
pub(crate) mod screen;
mod seen;
pub(crate) mod table;
mod verdict;
mod watch;

pub(crate) use command::{Options, run};
