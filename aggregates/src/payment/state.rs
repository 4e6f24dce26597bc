//! A payment as its events have made it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{PaymentError, PaymentEvent, Request};
use crate::AttemptId;

/// The state of a payment: `None` before it was requested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment(pub(super) Option<Requested>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Requested {
    pub request: Request,
    pub status: PaymentStatus,
    /// Until when it can be paid: as requested, or put off since.
    pub expires_at: DateTime<Utc>,
    pub in_flight: Option<Attempt>,
    pub approved: Option<Approved>,
    /// It shall end as soon as it can.
    pub ending: bool,
    /// Tries that came to nothing, at most [`super::ATTEMPTS_MAX`].
    pub refused: Vec<Refused>,
}

/// Where a payment is. The names are those of its events, as in the original system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PaymentStatus {
    /// To be paid.
    PaymentRequested,
    /// Paid.
    PaymentApproved,
    /// Ended; money that had moved went back.
    PaymentCanceled,
}

impl PaymentStatus {
    /// The name, as in events and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentRequested => "PaymentRequested",
            Self::PaymentApproved => "PaymentApproved",
            Self::PaymentCanceled => "PaymentCanceled",
        }
    }
}

impl fmt::Display for PaymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A try whose outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which try.
    pub attempt_id: AttemptId,
    /// The provider's name for the money.
    pub payment_key: String,
    /// When it was made.
    pub attempted_at: DateTime<Utc>,
}

/// The try that moved the money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Which try.
    pub attempt_id: AttemptId,
    /// The provider's name for the money.
    pub payment_key: String,
    /// When the provider approved it.
    pub approved_at: DateTime<Utc>,
}

/// A try that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which try.
    pub attempt_id: AttemptId,
    /// The provider's code; `None` where the provider never had a say.
    pub code: Option<String>,
    /// The provider's words, or how we know.
    pub message: String,
}

impl Payment {
    /// What shall be paid; `None` where there is no such payment.
    pub fn request(&self) -> Option<Request> {
        self.0.as_ref().map(|requested| requested.request)
    }

    /// Where it is; `None` where there is no such payment.
    pub fn status(&self) -> Option<PaymentStatus> {
        self.0.as_ref().map(|requested| requested.status)
    }

    /// Until when it can be paid; `None` where there is no such payment.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.as_ref().map(|requested| requested.expires_at)
    }

    /// The try whose outcome is not known.
    pub fn in_flight(&self) -> Option<&Attempt> {
        self.0.as_ref().and_then(|requested| requested.in_flight.as_ref())
    }

    /// The try that moved the money.
    pub fn approved(&self) -> Option<&Approved> {
        self.0.as_ref().and_then(|requested| requested.approved.as_ref())
    }

    /// Whether it shall end, or has.
    pub fn is_cancel_requested(&self) -> bool {
        self.0.as_ref().is_some_and(|requested| requested.ending)
    }

    /// The money that must go back, while it has not.
    pub fn refund_due(&self) -> Option<&Approved> {
        let requested = self.0.as_ref()?;
        let due = requested.ending && requested.status == PaymentStatus::PaymentApproved;
        requested.approved.as_ref().filter(|_| due)
    }

    /// The last try that we gave up without the provider's word.
    pub fn given_up(&self) -> Option<&Refused> {
        self.0.as_ref()?.refused.iter().rev().find(|refused| refused.code.is_none())
    }

    /// What became of a try that came to nothing.
    pub fn refused(&self, attempt: AttemptId) -> Option<&Refused> {
        self.0.as_ref()?.refused.iter().find(|refused| refused.attempt_id == attempt)
    }

    pub(super) fn known(&self) -> Result<&Requested, PaymentError> {
        self.0.as_ref().ok_or(PaymentError::NoSuchPayment)
    }

    pub(super) fn evolve(&mut self, event: PaymentEvent) {
        if let PaymentEvent::PaymentRequested { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at } =
            event
        {
            self.0 = Some(Requested {
                request: Request { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at },
                status: PaymentStatus::PaymentRequested,
                expires_at,
                in_flight: None,
                approved: None,
                ending: false,
                refused: Vec::new(),
            });
            return;
        }
        let Some(requested) = &mut self.0 else { return };
        match event {
            PaymentEvent::PaymentRequested { .. } => {}
            PaymentEvent::PaymentAttempted { attempt_id, payment_key, attempted_at, .. } => {
                requested.in_flight = Some(Attempt { attempt_id, payment_key, attempted_at });
            }
            PaymentEvent::PaymentDeclined { attempt_id, code, message, .. } => {
                requested.in_flight = None;
                requested.refused.push(Refused { attempt_id, code: Some(code), message });
            }
            PaymentEvent::PaymentAttemptAbandoned { attempt_id, reason, .. } => {
                requested.in_flight = None;
                requested.refused.push(Refused { attempt_id, code: None, message: reason });
            }
            PaymentEvent::PaymentPutOff { expires_at, .. } => requested.expires_at = expires_at,
            PaymentEvent::PaymentApproved { attempt_id, payment_key, approved_at, .. } => {
                requested.in_flight = None;
                requested.status = PaymentStatus::PaymentApproved;
                requested.approved = Some(Approved { attempt_id, payment_key, approved_at });
            }
            PaymentEvent::PaymentCancelRequested { .. } => requested.ending = true,
            PaymentEvent::PaymentCanceled { .. } => {
                requested.ending = true;
                requested.status = PaymentStatus::PaymentCanceled;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod given {
    //! Histories that the tests of the decisions start from.

    use chrono::{DateTime, Duration, Utc};
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::{
        super::{PaymentCancelReason, PaymentEvent, Request},
        Payment,
    };
    use crate::{AttemptId, BookingId, ConcertId, Money, PaymentId, Qty, UserId};

    pub const BOOKING: BookingId = BookingId(Uuid::from_u128(1));
    pub const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(0);
    pub const KEY: &str = "tviva-1";

    pub fn attempt(n: u128) -> AttemptId {
        AttemptId(Uuid::from_u128(50 + n))
    }

    pub fn request() -> Request {
        Request {
            payment_id: PaymentId::of(BOOKING),
            booking_id: BOOKING,
            concert_id: ConcertId(Uuid::from_u128(2)),
            user_id: UserId(Uuid::from_u128(3)),
            qty: Qty::new(2).unwrap_or_else(|error| panic!("{error}")),
            amount: Money::krw(220_000),
            expires_at: NOW + Duration::seconds(600),
        }
    }

    pub fn requested() -> PaymentEvent {
        let Request { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at } = request();
        PaymentEvent::PaymentRequested { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at }
    }

    pub fn attempted(n: u128) -> PaymentEvent {
        let Request { payment_id, booking_id, .. } = request();
        let (attempt_id, payment_key, attempted_at) = (attempt(n), KEY.to_owned(), NOW);
        PaymentEvent::PaymentAttempted { payment_id, booking_id, attempt_id, payment_key, attempted_at }
    }

    pub fn declined(n: u128) -> PaymentEvent {
        let Request { payment_id, booking_id, .. } = request();
        let (code, message) = ("REJECT_CARD_PAYMENT".to_owned(), "no".to_owned());
        PaymentEvent::PaymentDeclined { payment_id, booking_id, attempt_id: attempt(n), code, message }
    }

    pub fn abandoned(n: u128) -> PaymentEvent {
        let Request { payment_id, booking_id, .. } = request();
        let reason = "unknown to the provider".to_owned();
        PaymentEvent::PaymentAttemptAbandoned { payment_id, booking_id, attempt_id: attempt(n), reason }
    }

    pub fn approved(n: u128) -> PaymentEvent {
        let Request { payment_id, booking_id, concert_id, user_id, qty, amount, .. } = request();
        PaymentEvent::PaymentApproved {
            payment_id,
            booking_id,
            concert_id,
            user_id,
            qty,
            amount,
            attempt_id: attempt(n),
            payment_key: KEY.to_owned(),
            approved_at: NOW,
        }
    }

    pub fn cancel_requested() -> PaymentEvent {
        let Request { payment_id, booking_id, .. } = request();
        PaymentEvent::PaymentCancelRequested { payment_id, booking_id, reason: PaymentCancelReason::BookingCanceled }
    }

    pub fn canceled(refunded: bool) -> PaymentEvent {
        let Request { payment_id, booking_id, concert_id, user_id, qty, amount, .. } = request();
        PaymentEvent::PaymentCanceled { payment_id, booking_id, concert_id, user_id, qty, amount, refunded }
    }

    pub fn payment() -> TestFramework<Payment> {
        TestFramework::with(())
    }
}
