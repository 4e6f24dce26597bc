//! Concerts and their tickets by what they are: one row a concert in Postgres, read through memory.

mod fold;
mod load;
mod parking;
mod projector;
mod rebuild;
mod retry;
mod rows;
mod shelf;
mod stored;
mod view;
mod views;
mod watchers;

pub use projector::{CONCERTS_KNOWN_MAX, TicketCounts};
pub(crate) use rebuild::{Counts, create};
pub use rebuild::{drop_old, is_outdated, state};
pub use retry::retry;
pub use shelf::CONCERTS_KEPT_MAX;
pub use stored::StoredCounts;
pub use view::ConcertView;
pub use views::{CONCERTS_LIMIT_MAX, ConcertViews, POLL_INTERVAL};
pub use watchers::WATCHED_CONCERTS_MAX;
