//! Real servers as child processes: a private Postgres and a private nats-server, for `boxoffice up` and for the tests.
//!
//! [`find`] locates the binaries, [`Postgres`] and [`Nats`] run them on loopback under passwords of their own, and
//! [`testing`] makes throw-away ones. What holds for both:
//!
//! - A directory has one owner at a time (a lock file); what a vanished owner left running in it is stopped first.
//! - The servers die with their owner, even when that is killed with SIGKILL (on Linux).
//! - Every wait has a deadline that says what it waited for.
//! - Dropping a handle kills its server at once; both servers recover from that. Call `stop` for an orderly end.

mod blocking;
mod error;
pub mod find;
mod nats;
mod ownership;
mod ports;
mod postgres;
mod process;
mod processes;
mod run_as;
mod secret;
mod server;
pub mod testing;

pub use error::Error;
pub use nats::{Nats, NatsOptions, SyncInterval};
pub use postgres::{Postgres, PostgresOptions};
