//! The port: what Boxoffice asks of a payment provider, and what it can come to know from the answer.
//!
//! Partial knowledge is never reported as failure or as success. A call ends in one of three ways: it had its effect
//! (`Ok`), it certainly had none (an error that [is certain](ProviderError::is_certain)), or nobody here can say, and
//! only a lookup settles it.

use aggregates::{AttemptId, Money, PaymentId};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

mod error;

pub use error::{Doubt, ProviderError};

/// What a call of the provider came to.
pub type ProviderResult<T> = Result<T, ProviderError>;

/// Take the money of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The provider's name for this payment, from its payment window: 1 to 200 characters.
    pub payment_key: String,
    /// Our name for it, the provider's `orderId`: it is asked about by this name when an answer was lost.
    pub order_id: PaymentId,
    /// What to charge; never zero.
    pub amount: Money,
    /// The same key again gives the same answer and moves no money twice.
    pub idempotency_key: AttemptId,
}

/// Give all the money of one payment back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The payment, as it was confirmed.
    pub payment_key: String,
    /// Why, for the buyer's statement: 1 to 200 characters.
    pub reason: String,
    /// The same key again gives the same answer and moves no money twice.
    pub idempotency_key: AttemptId,
}

/// How far a payment is, in the provider's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderStatus {
    /// Known, but the buyer has not authenticated yet; no money has moved.
    Ready,
    /// The buyer has authenticated; no money has moved yet.
    InProgress,
    /// A virtual account waits for the buyer's transfer.
    WaitingForDeposit,
    /// The money was taken.
    Done,
    /// The money was taken and given back in full.
    Canceled,
    /// The money was taken and a part of it given back.
    PartialCanceled,
    /// The confirmation failed; no money has moved, and never will under this payment key.
    Aborted,
    /// The buyer took too long; no money has moved.
    Expired,
}

impl ProviderStatus {
    /// Money was taken at some time, whatever was given back since.
    pub const fn was_charged(self) -> bool {
        match self {
            Self::Done | Self::Canceled | Self::PartialCanceled => true,
            Self::Ready | Self::InProgress | Self::WaitingForDeposit | Self::Aborted | Self::Expired => false,
        }
    }
}

/// One movement of money back to the buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderCancel {
    /// The provider's name for this movement.
    pub transaction_key: String,
    /// What was given back.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// When.
    pub canceled_at: DateTime<Utc>,
}

/// A payment as the provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderPayment {
    /// The provider's name for it.
    pub payment_key: String,
    /// Our name for it.
    pub order_id: PaymentId,
    /// How far it is.
    pub status: ProviderStatus,
    /// What was to be charged.
    pub amount: Money,
    /// What could still be given back.
    pub balance: Money,
    /// When the money was taken, if it was.
    pub approved_at: Option<DateTime<Utc>>,
    /// What was given back, oldest first.
    pub cancels: Vec<ProviderCancel>,
}

/// A payment provider. Every call is bounded in time by the adapter.
///
/// `None` from a lookup means *not known now*. It is no proof about a confirmation that timed out a moment ago: that
/// one may still be on its way. Confirming again under the same idempotency key is the safe way to settle it.
///
/// The provider remembers refusals under their idempotency key as well. After an error that
/// [is certain](ProviderError::is_certain), other than `Busy` and `Unreachable`, a new try needs a new key.
pub trait Provider: Send + Sync + 'static {
    /// Charges the buyer. `Ok` is a payment with [`ProviderStatus::Done`] under the asked order and amount.
    fn confirm(&self, confirm: Confirm) -> BoxFuture<'_, ProviderResult<ProviderPayment>>;

    /// Refunds the buyer in full. `Ok` is a payment with [`ProviderStatus::Canceled`].
    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, ProviderResult<ProviderPayment>>;

    /// The payment made under our name.
    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>>;

    /// The payment made under the provider's name.
    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>>;
}
