//! Refusals, with the service's statuses, codes and error bodies.

use std::io;

use axum::{
    Json,
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Why a call gets no payment. Source: `https://docs.tosspayments.com/reference/error-codes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Refusal {
    Invalid(String),
    BadFault(String),
    IdempotencyKeyTooLong,
    Unauthorized,
    BadBasicAuth,
    CardDeclined,
    AlreadyProcessed,
    DuplicatedOrder,
    NoSession,
    NoPayment,
    AlreadyCanceled,
    NotCancelable,
    NotCancelableAmount,
    NoSuchPath,
    Fault,
    Down,
}

impl Refusal {
    /// A fault promises nothing about a later call, so it is not remembered for an idempotency key.
    pub fn is_fault(&self) -> bool {
        self.parts().0.is_server_error()
    }

    /// Status, code, message.
    fn parts(&self) -> (StatusCode, &'static str, &str) {
        match self {
            Self::Invalid(what) => (StatusCode::BAD_REQUEST, "INVALID_REQUEST", what),
            Self::BadFault(what) => (StatusCode::UNPROCESSABLE_ENTITY, "INVALID_REQUEST", what),
            Self::IdempotencyKeyTooLong => {
                (StatusCode::BAD_REQUEST, "INVALID_IDEMPOTENCY_KEY", "An idempotency key has at most 300 characters.")
            }
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED_KEY", "Unauthorized secret key."),
            Self::BadBasicAuth => {
                (StatusCode::FORBIDDEN, "INCORRECT_BASIC_AUTH_FORMAT", "Encode the secret key followed by ':'.")
            }
            Self::CardDeclined => {
                (StatusCode::FORBIDDEN, "REJECT_CARD_PAYMENT", "Over the limit, or not enough on the account.")
            }
            Self::AlreadyProcessed => {
                (StatusCode::BAD_REQUEST, "ALREADY_PROCESSED_PAYMENT", "This payment has already been processed.")
            }
            Self::DuplicatedOrder => {
                (StatusCode::BAD_REQUEST, "DUPLICATED_ORDER_ID", "This order was already approved or cancelled.")
            }
            Self::NoSession => {
                (StatusCode::NOT_FOUND, "NOT_FOUND_PAYMENT_SESSION", "This payment was not begun for that order.")
            }
            Self::NoPayment => (StatusCode::NOT_FOUND, "NOT_FOUND_PAYMENT", "No such payment."),
            Self::AlreadyCanceled => {
                (StatusCode::BAD_REQUEST, "ALREADY_CANCELED_PAYMENT", "This payment was already cancelled.")
            }
            Self::NotCancelable => {
                (StatusCode::FORBIDDEN, "NOT_CANCELABLE_PAYMENT", "This payment cannot be cancelled.")
            }
            Self::NotCancelableAmount => {
                (StatusCode::FORBIDDEN, "NOT_CANCELABLE_AMOUNT", "This amount cannot be cancelled.")
            }
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "NOT_FOUND", "No such resource."),
            Self::Fault => {
                (StatusCode::INTERNAL_SERVER_ERROR, "FAILED_INTERNAL_SYSTEM_PROCESSING", "Please try again later.")
            }
            Self::Down => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", "Out of service."),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        (status, Json(json!({ "code": code, "message": message }))).into_response()
    }
}

/// Drops the connection without an answer: the body fails before the first byte of the answer is on its way.
pub(super) fn lost() -> Response {
    let cut = stream::once(async { Err::<Bytes, _>(io::Error::other("answer lost on purpose")) });
    ([(header::CONNECTION, "close")], Body::from_stream(cut)).into_response()
}
