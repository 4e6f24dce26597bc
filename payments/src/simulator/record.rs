//! One payment in the books.

use std::sync::Arc;

use aggregates::Money;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answer::Refusal;

/// How many refunds one payment can have.
pub const CANCELS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    Aborted,
    Done,
    PartialCanceled,
    Canceled,
}

/// One movement of money back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Refund {
    pub amount: u64,
    pub reason: String,
    pub at: DateTime<Utc>,
    pub transaction: Uuid,
}

/// One payment. Amounts are in minor units of its currency.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    pub key: Arc<str>,
    pub order: Arc<str>,
    pub amount: Money,
    pub status: Status,
    pub requested_at: DateTime<Utc>,
    pub approved_at: Option<DateTime<Utc>>,
    pub transaction: Uuid,
    pub refunds: Vec<Refund>,
}

impl Record {
    /// What could still be given back, in minor units.
    pub fn balance(&self) -> u64 {
        self.refunds.iter().fold(self.amount.amount, |left, refund| left.saturating_sub(refund.amount))
    }

    /// Whether `amount`, in minor units, can be given back.
    pub fn refundable(&self, amount: u64) -> Result<(), Refusal> {
        match self.status {
            Status::Aborted => return Err(Refusal::NotCancelable),
            Status::Canceled => return Err(Refusal::AlreadyCanceled),
            Status::Done | Status::PartialCanceled => {}
        }
        if self.refunds.len() >= CANCELS_MAX {
            return Err(Refusal::NotCancelable);
        }
        if amount > self.balance() {
            return Err(Refusal::NotCancelableAmount);
        }
        Ok(())
    }
}
