//! The books: payments by key and by order, and what was moved in all. No I/O and no clock; the oldest payments are
//! forgotten when there are too many.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use aggregates::Money;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    answer::Refusal,
    idempotency::Answer,
    record::{Record, Refund, Status},
};

/// How many payments are kept; about half a kilobyte each.
pub const PAYMENTS_MAX: usize = 500_000;

/// A payment key that starts so is always declined.
const DECLINE_PREFIX: &str = "decline";

/// What has happened since the books were begun or the counts last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Calls of the API, whatever became of them; only since this process began.
    pub calls: u64,
    /// Payments charged. A repeated call does not count.
    pub approvals: u64,
    /// Refunds made. A repeated call does not count.
    pub cancellations: u64,
    /// Distinct movements of money: charges and refunds.
    pub money_movements: u64,
    /// What was taken in all, in minor units whatever the currency.
    pub charged: u64,
    /// What was given back in all, in minor units whatever the currency.
    pub refunded: u64,
}

/// A confirmation, checked in form.
pub(super) struct Charge {
    pub payment_key: String,
    pub order_id: String,
    pub amount: Money,
    pub declined: bool,
    pub at: DateTime<Utc>,
}

/// A cancellation, checked in form.
pub(super) struct GiveBack {
    pub payment_key: String,
    /// In minor units; all that is left if none.
    pub amount: Option<u64>,
    /// What the caller takes to be left, in minor units, if it says so.
    pub balance: Option<u64>,
    pub reason: String,
    pub at: DateTime<Utc>,
}

/// A change of the books, decided but not yet made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Change {
    /// A new payment, charged or declined.
    Payment(Record),
    /// Money back from the payment of this key.
    Refund { key: Arc<str>, refund: Refund },
}

impl Change {
    /// Which payment changes.
    pub fn payment_key(&self) -> &Arc<str> {
        match self {
            Self::Payment(record) => &record.key,
            Self::Refund { key, .. } => key,
        }
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    payments: HashMap<Arc<str>, Record>,
    /// The latest payment of each order.
    orders: HashMap<Arc<str>, Arc<str>>,
    /// Keys of payments, oldest first.
    age: VecDeque<Arc<str>>,
    pub counts: Counts,
}

impl Counts {
    const fn charge(&mut self, amount: u64) {
        self.approvals += 1;
        self.money_movements += 1;
        self.charged = self.charged.saturating_add(amount);
    }

    const fn refund(&mut self, amount: u64) {
        self.cancellations += 1;
        self.money_movements += 1;
        self.refunded = self.refunded.saturating_add(amount);
    }
}

impl Ledger {
    pub fn by_key(&self, payment_key: &str) -> Result<&Record, Refusal> {
        self.payments.get(payment_key).ok_or(Refusal::NoPayment)
    }

    pub fn by_order(&self, order_id: &str) -> Result<&Record, Refusal> {
        self.orders.get(order_id).and_then(|key| self.payments.get(key)).ok_or(Refusal::NoPayment)
    }

    /// The payment to make: one that takes the money, unless it is declined.
    pub fn confirm(&self, charge: Charge) -> Result<Change, Refusal> {
        self.check(&charge)?;
        let declined = charge.declined || charge.payment_key.starts_with(DECLINE_PREFIX);
        let status = if declined { Status::Aborted } else { Status::Done };
        Ok(Change::Payment(Record {
            key: charge.payment_key.into(),
            order: charge.order_id.into(),
            amount: charge.amount,
            status,
            requested_at: charge.at,
            approved_at: (!declined).then_some(charge.at),
            transaction: Uuid::new_v4(),
            refunds: Vec::new(),
        }))
    }

    /// A key stays with its order and amount, and neither it nor the order is charged twice.
    fn check(&self, charge: &Charge) -> Result<(), Refusal> {
        if let Some(known) = self.payments.get(charge.payment_key.as_str()) {
            if *known.order != *charge.order_id {
                return Err(Refusal::NoSession);
            }
            if known.amount != charge.amount {
                return Err(Refusal::Invalid("amount: another one than this payment was begun with".into()));
            }
            if known.status != Status::Aborted {
                return Err(Refusal::AlreadyProcessed);
            }
        }
        match self.by_order(&charge.order_id) {
            Ok(known) if known.status != Status::Aborted => Err(Refusal::DuplicatedOrder),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The refund to make.
    pub fn cancel(&self, wanted: GiveBack) -> Result<Change, Refusal> {
        let record = self.by_key(&wanted.payment_key)?;
        let amount = wanted.amount.unwrap_or_else(|| record.balance());
        record.refundable(amount)?;
        if wanted.balance.is_some_and(|balance| balance != record.balance()) {
            return Err(Refusal::OtherBalance);
        }
        let refund = Refund { amount, reason: wanted.reason, at: wanted.at, transaction: Uuid::new_v4() };
        Ok(Change::Refund { key: record.key.clone(), refund })
    }

    /// Makes a change, and says what to answer to the call that led to it.
    pub fn make(&mut self, change: Change) -> Answer {
        match change {
            Change::Payment(record) => {
                self.keep(record.clone());
                if record.status == Status::Aborted {
                    return Err(Refusal::CardDeclined);
                }
                self.counts.charge(record.amount.amount);
                Ok(record)
            }
            Change::Refund { key, refund } => {
                let record = self.payments.get_mut(&key).ok_or(Refusal::NoPayment)?;
                record.refundable(refund.amount)?;
                self.counts.refund(refund.amount);
                record.refunds.push(refund);
                record.status = if record.balance() == 0 { Status::Canceled } else { Status::PartialCanceled };
                Ok(record.clone())
            }
        }
    }

    /// The payments in an order that makes the same books: by age, and once more those that are the latest of their order
    /// though begun before others of it.
    pub fn in_order(&self) -> impl Iterator<Item = &Record> {
        let by_age = || self.age.iter().filter_map(|key| self.payments.get(key));
        by_age().chain(by_age().filter_map(|record| {
            let latest = self.by_order(&record.order).ok()?;
            (latest.key != record.key).then_some(latest)
        }))
    }

    fn keep(&mut self, record: Record) {
        let (key, order) = (record.key.clone(), record.order.clone());
        self.orders.insert(order, key.clone());
        if self.payments.insert(key.clone(), record).is_none() {
            self.age.push_back(key);
        }
        if self.age.len() > PAYMENTS_MAX
            && let Some(gone) = self.age.pop_front().and_then(|oldest| self.payments.remove(&oldest))
            && self.orders.get(&gone.order) == Some(&gone.key)
        {
            self.orders.remove(&gone.order);
        }
    }
}

#[cfg(test)]
mod tests;
