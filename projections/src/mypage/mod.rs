//! Booking histories: what became of each booking, in an SQLite file beside each process that serves them.

mod compare;
mod file;
mod fold;
mod history;
mod late;
mod parking;
mod read_side;
mod readers;
mod rebuild;
mod retry;
mod stored;
mod table;
mod writer;

pub use file::state;
pub use history::{BookingHistory, HistoryStatus};
pub use read_side::MyPage;
pub use readers::{HISTORIES_LIMIT_MAX, READERS_MAX};
pub use rebuild::drop_old;
pub(crate) use rebuild::rebuild;
pub use retry::retry;
pub use stored::StoredHistories;
pub use writer::MyPageProjection;
