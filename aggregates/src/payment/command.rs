//! What can be asked of a payment, and why it can be refused.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Payment, PaymentCancelReason, PaymentEvent};
use crate::{AttemptId, BookingId, ConcertId, Money, PaymentId, Qty, UserId};

/// What shall be paid, by whom, until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The payment's own id.
    pub payment_id: PaymentId,
    /// For which booking.
    pub booking_id: BookingId,
    /// Of which concert.
    pub concert_id: ConcertId,
    /// Whose.
    pub user_id: UserId,
    /// For how many tickets.
    pub qty: Qty,
    /// How much.
    pub amount: Money,
    /// Until when, unless it is put off.
    pub expires_at: DateTime<Utc>,
}

/// A request to a payment.
#[derive(Clone, Debug, PartialEq)]
pub enum PaymentCommand {
    /// Open it.
    Request(Request),
    /// Note that the provider is about to be asked.
    Attempt {
        /// Which try.
        attempt_id: AttemptId,
        /// The provider's name for the money.
        payment_key: String,
        /// The time now.
        now: DateTime<Utc>,
    },
    /// Note what the provider said of a try.
    Settle {
        /// Which try.
        attempt_id: AttemptId,
        /// What it said.
        outcome: Outcome,
    },
    /// End it, with the money going back where there is any.
    Cancel {
        /// Why.
        reason: PaymentCancelReason,
    },
    /// Give whoever was sent away by an overloaded provider time for another try.
    PutOff {
        /// The time now.
        now: DateTime<Utc>,
    },
    /// Note that the money went back.
    Refunded,
}

/// What became of a try, known for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved.
    Approved {
        /// When, by the provider's clock.
        approved_at: DateTime<Utc>,
        /// The provider's name for the money that moved.
        payment_key: String,
    },
    /// The provider said no.
    Declined {
        /// The provider's code.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// It never reached the provider, or had no effect there.
    NotDone {
        /// How we know.
        reason: String,
    },
}

/// Why a payment refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PaymentError {
    /// It was never requested.
    #[error("there is no such payment (yet)")]
    NoSuchPayment,
    /// Its id is taken by a payment of something else.
    #[error("this payment was requested already, for something else")]
    RequestedOtherwise,
    /// It has been paid.
    #[error("the payment is approved already")]
    AlreadyApproved,
    /// It has ended, or is about to.
    #[error("the payment was cancelled")]
    Canceled,
    /// The tickets are no longer kept for it.
    #[error("the time to pay was over at {0}")]
    Expired(DateTime<Utc>),
    /// Another try is under way, and its outcome is not known yet.
    #[error("attempt {0} is still in flight")]
    AttemptInFlight(AttemptId),
    /// It was declined [`super::DECLINES_MAX`] times, or tried [`super::ATTEMPTS_MAX`] times.
    #[error("the payment was tried too often")]
    TooManyAttempts,
    /// An outcome of a try that was never made, or that ended otherwise.
    #[error("attempt {0} is not in flight")]
    NotInFlight(AttemptId),
    /// The key of the provider is empty, longer than [`super::PAYMENT_KEY_CHARS_MAX`], or has blanks or control
    /// characters.
    #[error("a payment key has 1 to {} visible characters", super::PAYMENT_KEY_CHARS_MAX)]
    PaymentKeyOutOfRange,
    /// Nobody asked for the money back.
    #[error("no refund of this payment is due")]
    NoRefundDue,
}

impl Payment {
    /// What follows from `command`.
    pub fn decide(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentError> {
        match command {
            PaymentCommand::Request(request) => self.open(request),
            PaymentCommand::Attempt { attempt_id, payment_key, now } => self.attempt(attempt_id, payment_key, now),
            PaymentCommand::Settle { attempt_id, outcome } => self.settle(attempt_id, outcome),
            PaymentCommand::Cancel { reason } => Ok(self.cancel(reason)),
            PaymentCommand::PutOff { now } => self.put_off(now),
            PaymentCommand::Refunded => self.refunded(),
        }
    }
}
