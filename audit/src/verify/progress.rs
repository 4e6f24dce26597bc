//! How far an audit has come, for whoever shows it meanwhile.

use std::sync::atomic::AtomicU64;

/// Counters that only grow; all zero at the beginning.
#[derive(Debug, Default)]
pub struct Progress {
    /// Events that were checked.
    pub events: AtomicU64,
    /// Events to check.
    pub events_in_all: AtomicU64,
    /// Messages of the mirror that were compared.
    pub messages: AtomicU64,
    /// Messages to compare.
    pub messages_in_all: AtomicU64,
}
