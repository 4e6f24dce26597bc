//! What can have happened to a payment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{AttemptId, BookingId, ConcertId, Money, PaymentId, Qty, UserId};

/// A fact about a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum PaymentEvent {
    /// Tickets are held, so the fan may pay.
    PaymentRequested {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// For how many tickets.
        qty: Qty,
        /// How much.
        amount: Money,
        /// Until when.
        expires_at: DateTime<Utc>,
    },
    /// The provider is about to be asked. Written before it is, so that a crash leaves a question, not a secret.
    PaymentAttempted {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Which try; also the provider's idempotency key.
        attempt_id: AttemptId,
        /// The provider's name for the money.
        payment_key: String,
        /// When.
        attempted_at: DateTime<Utc>,
    },
    /// The provider said no.
    PaymentDeclined {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Which try.
        attempt_id: AttemptId,
        /// The provider's code.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// The try certainly never took effect at the provider.
    PaymentAttemptAbandoned {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Which try.
        attempt_id: AttemptId,
        /// How we know.
        reason: String,
    },
    /// Whoever wanted to pay was sent away for a moment, because the provider is overloaded, and has more time for it.
    PaymentPutOff {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Until when it can be paid now.
        expires_at: DateTime<Utc>,
    },
    /// The money is ours.
    PaymentApproved {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// For how many tickets.
        qty: Qty,
        /// How much.
        amount: Money,
        /// By which try.
        attempt_id: AttemptId,
        /// The provider's name for the money.
        payment_key: String,
        /// When the provider approved it.
        approved_at: DateTime<Utc>,
    },
    /// It shall end, but a try is in flight or the money must go back first.
    PaymentCancelRequested {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Why.
        reason: PaymentCancelReason,
    },
    /// It has ended, and no money of it is ours.
    PaymentCanceled {
        /// Which payment.
        payment_id: PaymentId,
        /// For which booking.
        booking_id: BookingId,
        /// Of which concert.
        concert_id: ConcertId,
        /// Whose.
        user_id: UserId,
        /// For how many tickets.
        qty: Qty,
        /// How much it was.
        amount: Money,
        /// Whether money went back.
        refunded: bool,
    },
}

/// Why a payment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentCancelReason {
    /// Its booking was cancelled.
    BookingCanceled,
    /// Its booking expired.
    BookingExpired,
    /// It was approved when its booking had ended already.
    ApprovedTooLate,
}
