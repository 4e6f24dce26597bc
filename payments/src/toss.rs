//! The adapter of the Toss Payments v1 API.
//!
//! Sources: the API reference (`https://docs.tosspayments.com/reference`) for the endpoints and the Payment object, its
//! error code page (`…/reference/error-codes`) for what a refusal means, and its guide to the idempotency key
//! (`https://docs.tosspayments.com/guides/using-api/idempotency-key`).

mod call;
mod classify;
mod config;
mod payment;
mod wire;

pub use call::TossProvider;
pub use classify::classify;
pub use config::{
    BACKGROUND_TIMEOUT_MS, IDEMPOTENCY_KEY_CHARS_MAX, PAYMENT_KEY_CHARS_MAX, TIMEOUT_MS, TIMEOUT_MS_MAX,
    TIMEOUT_MS_MIN, TossConfig, TossConfigError,
};
pub(crate) use payment::status_named;
pub(crate) use wire::{CURRENCY_HEADER, code, from_number, to_number};
