//! The whole flow in memory: no threads, no clock, and everything that happens is drawn from a seed or written in a
//! script.

mod attending;
mod cancellations;
mod clients;
mod deadlines;
mod draft;
mod execute;
mod fate;
mod flow;
mod log;
mod office;
mod paying;
mod random;
mod saga;
mod settle;
mod webhooks;
mod wire;
mod world;

pub use fate::{Fault, Gate};
pub use flow::{Flow, Outcome};
pub use random::run;
pub use world::Mutation;
