//! Booking histories: what became of each booking, in an SQLite file beside each process that serves them.

mod file;
mod fold;
mod history;
mod read_side;
mod readers;
mod stored;
mod writer;

pub use history::{BookingHistory, HistoryStatus};
pub use read_side::MyPage;
pub use readers::{HISTORIES_LIMIT_MAX, READERS_MAX};
pub use stored::StoredHistories;
pub use writer::MyPageProjection;
