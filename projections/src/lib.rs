//! What is read: tables made from the log, each with the position up to which it was made.
//!
//! A [`Projection`] has a name, a version, and a way to apply a batch of events in one transaction with its checkpoint;
//! a [`Runner`] feeds it from the journal or its mirror. [`ticket_counts`] lives in Postgres and is read through
//! [`ConcertViews`]; [`mypage`] lives in an SQLite file and is read through [`MyPage`]. Everything here can be thrown
//! away and made again from the log.

mod batch;
mod checkpoint;
mod currency;
mod error;
pub mod mypage;
mod parked;
mod progress;
mod projection;
pub mod rebuild;
mod runner;
pub mod ticket_counts;
mod wanted;

pub use batch::{Batch, Entry};
pub use checkpoint::{Anchor, Checkpoint};
pub use error::Error;
pub use mypage::{BookingHistory, HistoryStatus, MyPage, MyPageProjection};
pub use parked::{PARKED_MAX, Parked, ParkedBoard, Retried};
pub use progress::Progress;
pub use projection::{Applied, Projection};
pub use rebuild::CopyState;
pub use runner::{BATCH_EVENTS_MAX, Runner};
pub use ticket_counts::{ConcertView, ConcertViews, TicketCounts};
