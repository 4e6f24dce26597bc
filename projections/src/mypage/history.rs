//! One line of a booking history.

use std::{fmt, str::FromStr};

use aggregates::{BookingId, ConcertId, Money, PaymentId, Qty, UserId};
use chrono::{DateTime, Utc};
use journal::Position;
use serde::{Deserialize, Serialize};

/// What became of one booking. Serializes as `GET /bookingHistories` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BookingHistory {
    /// Position of its request in the log: unique, higher for later bookings. The cursor of a page.
    pub id: Position,
    /// Which booking.
    pub booking_id: BookingId,
    /// Of which concert.
    pub concert_id: ConcertId,
    /// Whose.
    pub user_id: UserId,
    /// The latest of the booking's and its payment's.
    pub status: HistoryStatus,
    /// Tickets.
    pub qty: Qty,
    /// What it costs; known once tickets are held.
    pub amount: Option<Money>,
    /// What it is paid by; known once tickets are held.
    pub payment_id: Option<PaymentId>,
    /// When it was requested.
    pub requested_at: DateTime<Utc>,
    /// When it came to its status.
    pub updated_at: DateTime<Utc>,
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $status:ident),+ $(,)?) => {
        /// Where a booking is, its payment included: the name of the latest event that says so, as in the original.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum HistoryStatus {
            $($(#[$doc])* $status,)+
        }

        impl HistoryStatus {
            /// All of them, in the order of a booking's life.
            pub const ALL: &[Self] = &[$(Self::$status,)+];

            /// The name, as in events and answers.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$status => stringify!($status),)+
                }
            }
        }
    };
}

statuses!(
    /// Asked for.
    BookingRequested,
    /// Tickets are held, and it is to be paid.
    PaymentRequested,
    /// It is paid.
    PaymentApproved,
    /// The tickets are the fan's.
    BookingApproved,
    /// There were no tickets for it.
    BookingRejected,
    /// It was called off; money has yet to go back where there is any.
    BookingCanceled,
    /// It was not paid in time.
    BookingExpired,
    /// It is over, and no money of it is ours.
    PaymentCanceled,
);

impl fmt::Display for HistoryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HistoryStatus {
    type Err = crate::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().copied().find(|status| status.as_str() == name);
        known.ok_or(crate::Error::Row { column: "status" })
    }
}
