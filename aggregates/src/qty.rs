//! A number of tickets in one booking.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How many tickets one booking asks for: 1 to [`Qty::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Qty(u32);

/// A quantity outside 1 to [`Qty::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be between 1 and {max}, not {0}", max = Qty::MAX)]
pub struct QtyOutOfRange(pub u64);

impl Qty {
    /// Tickets in one booking, at most. A concert may set a lower limit of its own.
    pub const MAX: u32 = 1_000;

    /// Checks the range.
    pub const fn new(tickets: u32) -> Result<Self, QtyOutOfRange> {
        if tickets == 0 || tickets > Self::MAX { Err(QtyOutOfRange(tickets as u64)) } else { Ok(Self(tickets)) }
    }

    /// Tickets.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Qty {
    type Error = QtyOutOfRange;

    fn try_from(tickets: u32) -> Result<Self, Self::Error> {
        Self::new(tickets)
    }
}

impl From<Qty> for u32 {
    fn from(qty: Qty) -> Self {
        qty.0
    }
}
