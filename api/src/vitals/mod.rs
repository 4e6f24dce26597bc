//! What only a process knows about itself (its views' positions, its cache, its breaker), written every two seconds to
//! where `boxoffice status` finds it. The rest of the status is in Postgres and NATS anyway.

mod document;
mod gauges;
mod rows;
mod standstills;
mod subject;
mod writer;

#[cfg(test)]
pub(crate) use document::CacheUse;
pub(crate) use document::{Breaker, Halted, Holds, ParkedEvents, RelayActivity, Standstill, Vitals};
pub(crate) use rows::{KEPT_SECONDS, ProcessRow, process_of_session, read, session_name};
pub(crate) use standstills::Standstills;
pub(crate) use subject::Subject;
pub(crate) use writer::{WRITE_INTERVAL, keep};
