//! One payment in the books, and how the service would show it.

use std::sync::Arc;

use aggregates::{Currency, Money};
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use uuid::Uuid;

use super::answer::Refusal;
use crate::toss;

/// How many refunds one payment can have.
pub const CANCELS_MAX: usize = 100;

/// Korean time, seconds east of Greenwich: the service writes all times in it.
const KOREA_EAST_SECONDS: i32 = 9 * 60 * 60;

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

    /// The Payment object (`https://docs.tosspayments.com/reference`, API version 2022-11-16).
    pub fn to_json(&self) -> Value {
        let last = self.refunds.last().map_or(self.transaction, |refund| refund.transaction);
        let cancels: Vec<Value> = self.refunds.iter().map(|refund| refund.to_json(self.amount.currency)).collect();
        let balance = self.number(self.balance());
        json!({
            "version": "2022-11-16",
            "mId": "boxoffice-simulator",
            "paymentKey": &*self.key,
            "orderId": &*self.order,
            "orderName": "tickets",
            "type": "NORMAL",
            "method": "카드",
            "country": "KR",
            "currency": toss::code(self.amount.currency),
            "status": self.status.name(),
            "totalAmount": self.number(self.amount.amount),
            "balanceAmount": balance,
            "suppliedAmount": balance,
            "vat": 0,
            "taxFreeAmount": 0,
            "taxExemptionAmount": 0,
            "requestedAt": korean(self.requested_at),
            "approvedAt": self.approved_at.map(korean),
            "lastTransactionKey": last.simple().to_string(),
            "cancels": if cancels.is_empty() { Value::Null } else { cancels.into() },
            "isPartialCancelable": true,
            "useEscrow": false,
            "cultureExpense": false,
            "failure": self.failure(),
        })
    }

    fn failure(&self) -> Value {
        match self.status {
            Status::Aborted => {
                json!({ "code": "REJECT_CARD_PAYMENT", "message": "Over the limit, or not enough on the account." })
            }
            Status::Done | Status::PartialCanceled | Status::Canceled => Value::Null,
        }
    }

    fn number(&self, amount: u64) -> Option<Number> {
        toss::to_number(Money { amount, ..self.amount })
    }
}

impl Refund {
    fn to_json(&self, currency: Currency) -> Value {
        json!({
            "transactionKey": self.transaction.simple().to_string(),
            "cancelAmount": toss::to_number(Money { amount: self.amount, currency }),
            "cancelReason": self.reason,
            "canceledAt": korean(self.at),
            "cancelStatus": "DONE",
            "taxFreeAmount": 0,
            "taxExemptionAmount": 0,
        })
    }
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "ABORTED",
            Self::Done => "DONE",
            Self::PartialCanceled => "PARTIAL_CANCELED",
            Self::Canceled => "CANCELED",
        }
    }
}

fn korean(at: DateTime<Utc>) -> String {
    match FixedOffset::east_opt(KOREA_EAST_SECONDS) {
        Some(korea) => at.with_timezone(&korea).to_rfc3339_opts(SecondsFormat::Secs, false),
        None => at.to_rfc3339_opts(SecondsFormat::Secs, false),
    }
}
