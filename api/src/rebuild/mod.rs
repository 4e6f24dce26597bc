//! `boxoffice rebuild` and `boxoffice projections`: what is read is made anew beside the live copy, and what could not be
//! projected is tried again.

mod bar;
mod command;
mod parked;
mod place;
mod show;
mod start;

pub(crate) use bar::Bar;
pub(crate) use command::{Options, run};
pub(crate) use parked::{Command as ProjectionsCommand, run as run_projections};
pub(crate) use place::pool;
pub(crate) use start::{Outdated, if_outdated};
