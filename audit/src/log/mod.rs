//! The log as it is stored, read in one go.

mod copy;
mod row;
mod snapshot;

pub(crate) use copy::Copy;
pub use row::Row;
pub use snapshot::Snapshot;
