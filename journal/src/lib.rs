//! The journal: Postgres is the truth.
//!
//! Commands become events here, and an event is a fact once its transaction is committed. [`Journal::execute`] runs
//! one command, [`Journal::unit`] several of them over several aggregates as one atomic unit of work, and
//! [`Journal::follow`] hands out the log in position order.

mod append;
mod cache;
mod checkpoint;
mod error;
mod event;
mod event_store;
mod execute;
mod follow;
mod journal;
mod lease;
mod load;
mod metadata;
mod read;
mod snapshot;
mod source;
mod tables;
mod tail;
mod unit;
mod writer;

pub use append::{Attachment, CheckpointMove};
pub use checkpoint::checkpoint;
pub use error::{AppendError, ExecuteError, ReadError, with_causes};
pub use event::{Position, RecordedEvent, Sequence};
pub use event_store::{JournalContext, JournalStore};
pub use execute::Executed;
pub use follow::{Follower, READ_EVENTS_MAX};
pub use journal::{Journal, JournalOptions, OpenError};
pub use lease::{Lease, elect, seize};
pub use load::Loaded;
pub use metadata::Metadata;
pub use read::{history, last_position, read_after, read_stream, state};
pub use source::EventSource;
pub use tables::create_tables;
pub use unit::UnitOfWork;
pub use writer::{Committed, Ticket};
