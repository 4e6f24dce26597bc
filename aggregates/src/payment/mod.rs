//! The payment: what a booking costs, every try to pay it, and what became of the money.

mod attempt;
mod cancel;
mod command;
mod event;
mod put_off;
mod refund;
mod request;
mod settle;
mod state;

pub use attempt::{ATTEMPTS_MAX, DECLINES_MAX, PAYMENT_KEY_CHARS_MAX, is_payment_key};
pub use command::{Outcome, PaymentCommand, PaymentError, Request};
pub use event::{PaymentCancelReason, PaymentEvent};
pub use put_off::{PUT_OFF_GRACE, PUT_OFF_MAX};
pub use state::{Approved, Attempt, Payment, PaymentStatus, Refused};

crate::decide::aggregate!(
    Payment,
    Payment,
    "payment",
    PaymentCommand,
    PaymentEvent {
        PaymentRequested,
        PaymentAttempted,
        PaymentDeclined,
        PaymentAttemptAbandoned,
        PaymentPutOff,
        PaymentApproved,
        PaymentCancelRequested,
        PaymentCanceled,
    },
    PaymentError
);
