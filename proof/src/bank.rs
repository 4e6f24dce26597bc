//! A payment provider in memory, by the rules of the simulator (a test holds the two side by side): an order is charged
//! once, a payment key belongs to one order and only as long as the buyer's session lasts, a refund is given once, and
//! the first answer under an idempotency key is the answer for ever.

use std::collections::BTreeMap;

use aggregates::{AttemptId, Money, PaymentId};
use chrono::{DateTime, Duration, Utc};
use payments::{
    Cancel, Confirm, Doubt, ProviderCancel, ProviderPayment, ProviderResult, ProviderStatus, toss::classify,
};

use crate::Moved;

/// How long the provider takes money under a payment key (Toss Payments: 10 minutes).
pub const SESSION: Duration = Duration::minutes(10);

/// The provider's books.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    payments: BTreeMap<String, ProviderPayment>,
    /// The latest payment key of each order.
    orders: BTreeMap<PaymentId, String>,
    /// When the buyer came to the payment window that gave out this key.
    sessions: BTreeMap<String, DateTime<Utc>>,
    answers: BTreeMap<(Call, AttemptId), Answer>,
    moved: BTreeMap<PaymentId, Moved>,
    movements: u64,
    /// Payments that changed, as they were then, to be told by webhooks.
    news: Vec<ProviderPayment>,
    gullible: bool,
}

/// What an idempotency key is good for: one path of the provider's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Confirm,
    Cancel(String),
}

/// An answer as it is remembered: a payment, or the provider's status and code.
type Answer = Result<ProviderPayment, (u16, &'static str)>;

impl Bank {
    /// One that goes by idempotency keys alone when it gives money back: asked under another key, it gives it again. The
    /// real one would refuse; whoever relies on that is found out here.
    pub fn gullible() -> Self {
        Self { gullible: true, ..Self::default() }
    }

    /// A buyer comes to the payment window, which gives out this key.
    pub fn open_session(&mut self, payment_key: &str, now: DateTime<Utc>) {
        self.sessions.entry(payment_key.to_owned()).or_insert(now);
    }

    /// Charges the buyer, unless the card is declined.
    pub fn confirm(
        &mut self,
        confirm: &Confirm,
        declines: bool,
        now: DateTime<Utc>,
    ) -> ProviderResult<ProviderPayment> {
        let under = (Call::Confirm, confirm.idempotency_key);
        if let Some(answer) = self.answers.get(&under) {
            let paid = told(answer.clone())?;
            let asked = (&confirm.payment_key, confirm.order_id, confirm.amount);
            // It goes by the key, not by what is asked; the adapter sees that.
            let is_asked = (&paid.payment_key, paid.order_id, paid.amount) == asked;
            return if is_asked { Ok(paid) } else { Err(Doubt::Contradiction("the payment").into()) };
        }
        let answer = self.charge(confirm, declines, now);
        self.answers.insert(under, answer.clone());
        told(answer)
    }

    fn charge(&mut self, confirm: &Confirm, declines: bool, now: DateTime<Utc>) -> Answer {
        let Confirm { payment_key, order_id, amount, .. } = confirm;
        if let Some(known) = self.payments.get(payment_key) {
            if known.order_id != *order_id {
                return Err((404, "NOT_FOUND_PAYMENT_SESSION"));
            }
            if known.amount != *amount {
                return Err((400, "INVALID_REQUEST"));
            }
            if known.status != ProviderStatus::Aborted {
                return Err((400, "ALREADY_PROCESSED_PAYMENT"));
            }
        }
        if self.sessions.get(payment_key).is_some_and(|opened| now - *opened >= SESSION) {
            return Err((404, "NOT_FOUND_PAYMENT_SESSION"));
        }
        if self.by_order(*order_id).is_some_and(|known| known.status != ProviderStatus::Aborted) {
            return Err((400, "DUPLICATED_ORDER_ID"));
        }
        let payment = ProviderPayment {
            payment_key: payment_key.clone(),
            order_id: *order_id,
            status: if declines { ProviderStatus::Aborted } else { ProviderStatus::Done },
            amount: *amount,
            balance: *amount,
            approved_at: (!declines).then_some(now),
            cancels: Vec::new(),
        };
        self.payments.insert(payment_key.clone(), payment.clone());
        self.orders.insert(*order_id, payment_key.clone());
        self.news.push(payment.clone());
        if declines {
            return Err((403, "REJECT_CARD_PAYMENT"));
        }
        self.moved.entry(*order_id).or_default().charged += amount.amount;
        self.movements += 1;
        Ok(payment)
    }

    /// Gives the buyer all of it back, unless it `declines`, which it remembers as any answer.
    pub fn cancel(&mut self, cancel: &Cancel, declines: bool, now: DateTime<Utc>) -> ProviderResult<ProviderPayment> {
        let under = (Call::Cancel(cancel.payment_key.clone()), cancel.idempotency_key);
        if let Some(answer) = self.answers.get(&under) {
            return told(answer.clone());
        }
        let answer = self.give_back(&cancel.payment_key, &cancel.reason, declines, now);
        self.answers.insert(under, answer.clone());
        told(answer)
    }

    /// Somebody gives the money of an order back at the provider, past us. Returns whether there was any.
    pub fn give_back_past_us(&mut self, order: PaymentId, now: DateTime<Utc>) -> bool {
        let Some(paid) = self.by_order(order).filter(|paid| paid.status == ProviderStatus::Done) else { return false };
        let payment_key = paid.payment_key.clone();
        self.give_back(&payment_key, "by telephone", false, now).is_ok()
    }

    fn give_back(&mut self, payment_key: &str, reason: &str, declines: bool, now: DateTime<Utc>) -> Answer {
        let payment = self.payments.get_mut(payment_key).ok_or((404, "NOT_FOUND_PAYMENT"))?;
        match payment.status {
            ProviderStatus::Done if declines => return Err((403, "NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER")),
            ProviderStatus::Done => {}
            ProviderStatus::Canceled if self.gullible => {}
            ProviderStatus::Canceled => return Err((400, "ALREADY_CANCELED_PAYMENT")),
            ProviderStatus::Ready
            | ProviderStatus::InProgress
            | ProviderStatus::WaitingForDeposit
            | ProviderStatus::PartialCanceled
            | ProviderStatus::Aborted
            | ProviderStatus::Expired => return Err((403, "NOT_CANCELABLE_PAYMENT")),
        }
        payment.status = ProviderStatus::Canceled;
        payment.balance = Money { amount: 0, ..payment.amount };
        payment.cancels.push(ProviderCancel {
            transaction_key: format!("t{}", self.movements),
            amount: payment.amount,
            reason: reason.to_owned(),
            canceled_at: now,
        });
        self.moved.entry(payment.order_id).or_default().refunded += payment.amount.amount;
        self.movements += 1;
        self.news.push(payment.clone());
        Ok(payment.clone())
    }

    /// What is known under our name. Lookups tell the truth.
    pub fn by_order(&self, order: PaymentId) -> Option<&ProviderPayment> {
        self.orders.get(&order).and_then(|key| self.payments.get(key))
    }

    /// What is to be told by webhooks, since it was last asked for.
    pub fn take_news(&mut self) -> Vec<ProviderPayment> {
        std::mem::take(&mut self.news)
    }

    /// Whether it is one of the [gullible](Self::gullible) ones.
    pub const fn is_gullible(&self) -> bool {
        self.gullible
    }

    /// What moved, for each payment.
    pub const fn moved(&self) -> &BTreeMap<PaymentId, Moved> {
        &self.moved
    }

    /// Distinct movements of money.
    pub const fn movements(&self) -> u64 {
        self.movements
    }
}

/// What the adapter makes of the provider's answer.
fn told(answer: Answer) -> ProviderResult<ProviderPayment> {
    answer.map_err(|(status, code)| classify(status, code, "the provider's words"))
}
