//! Refusals, with the service's statuses, codes, words and error bodies.

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

use super::language::Language;

/// Why a call gets no payment. Source: `https://docs.tosspayments.com/reference/error-codes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Refusal {
    Invalid(String),
    BadFault(String),
    IdempotencyKeyTooLong,
    StillProcessing,
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
    OtherBalance,
    NoSuchPath,
    Fault,
    Down,
}

impl Refusal {
    /// Whether it promises nothing about a later call, and so is not remembered for an idempotency key.
    pub fn is_passing(&self) -> bool {
        self.status().is_server_error() || *self == Self::StillProcessing
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_)
            | Self::IdempotencyKeyTooLong
            | Self::AlreadyProcessed
            | Self::DuplicatedOrder
            | Self::AlreadyCanceled
            | Self::OtherBalance => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BadBasicAuth | Self::CardDeclined | Self::NotCancelable | Self::NotCancelableAmount => {
                StatusCode::FORBIDDEN
            }
            Self::NoSession | Self::NoPayment | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::StillProcessing => StatusCode::CONFLICT,
            Self::BadFault(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Down => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::BadFault(_) => "INVALID_REQUEST",
            Self::IdempotencyKeyTooLong => "INVALID_IDEMPOTENCY_KEY",
            Self::StillProcessing => "IDEMPOTENT_REQUEST_PROCESSING",
            Self::Unauthorized => "UNAUTHORIZED_KEY",
            Self::BadBasicAuth => "INCORRECT_BASIC_AUTH_FORMAT",
            Self::CardDeclined => "REJECT_CARD_PAYMENT",
            Self::AlreadyProcessed => "ALREADY_PROCESSED_PAYMENT",
            Self::DuplicatedOrder => "DUPLICATED_ORDER_ID",
            Self::NoSession => "NOT_FOUND_PAYMENT_SESSION",
            Self::NoPayment => "NOT_FOUND_PAYMENT",
            Self::AlreadyCanceled => "ALREADY_CANCELED_PAYMENT",
            Self::NotCancelable => "NOT_CANCELABLE_PAYMENT",
            Self::NotCancelableAmount => "NOT_CANCELABLE_AMOUNT",
            Self::OtherBalance => "NOT_MATCHES_REFUNDABLE_AMOUNT",
            Self::NoSuchPath => "NOT_FOUND",
            Self::Fault => "FAILED_INTERNAL_SYSTEM_PROCESSING",
            Self::Down => "SERVICE_UNAVAILABLE",
        }
    }

    /// The service's words. Of a request that is wrong it says no more; we add in English what is wrong with it.
    pub(super) fn message(&self, language: Language) -> String {
        let (korean, english) = match self {
            Self::Invalid(what) => {
                return format!("{} {what}", language.pick("잘못된 요청입니다.", "Invalid request."));
            }
            Self::BadFault(what) => return what.clone(),
            Self::IdempotencyKeyTooLong => {
                ("멱등키는 300자 이하여야 합니다.", "An idempotency key has at most 300 characters.")
            }
            Self::StillProcessing => {
                ("이전 멱등 요청이 처리중입니다.", "An earlier idempotent request is being processed.")
            }
            Self::Unauthorized => {
                ("인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.", "Unauthorized secret key or client key.")
            }
            Self::BadBasicAuth => (
                "잘못된 요청입니다. ':' 를 포함해 인코딩해주세요.",
                "Invalid request. Encode the secret key followed by ':'.",
            ),
            Self::CardDeclined => (
                "한도초과 혹은 잔액부족으로 결제에 실패했습니다.",
                "The payment failed: over the limit, or not enough on the account.",
            ),
            Self::AlreadyProcessed => ("이미 처리된 결제 입니다.", "This payment has already been processed."),
            Self::DuplicatedOrder => (
                "이미 승인 및 취소가 진행된 중복된 주문번호 입니다. 다른 주문번호로 진행해주세요.",
                "This order was already approved or cancelled. Use another order id.",
            ),
            Self::NoSession => (
                "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다.",
                "The time to pay is over: there is no payment under way.",
            ),
            Self::NoPayment => ("존재하지 않는 결제 정보 입니다.", "There is no such payment."),
            Self::AlreadyCanceled => ("이미 취소된 결제 입니다.", "This payment has already been cancelled."),
            Self::NotCancelable => ("취소 할 수 없는 결제 입니다.", "This payment cannot be cancelled."),
            Self::NotCancelableAmount => ("취소 할 수 없는 금액 입니다.", "This amount cannot be cancelled."),
            Self::OtherBalance => ("잔액 결과가 일치하지 않습니다.", "The refundable amount is another one."),
            Self::NoSuchPath => ("존재하지 않는 정보 입니다.", "There is no such resource."),
            Self::Fault => (
                "내부 시스템 처리 작업이 실패했습니다. 잠시 후 다시 시도해주세요.",
                "An internal operation failed. Please try again later.",
            ),
            Self::Down => ("서비스를 이용할 수 없습니다.", "Out of service."),
        };
        language.pick(korean, english).to_owned()
    }

    pub(super) fn told_in(&self, language: Language) -> Response {
        (self.status(), Json(json!({ "code": self.code(), "message": self.message(language) }))).into_response()
    }
}

/// Drops the connection without an answer: the body fails before the first byte of the answer is on its way.
pub(super) fn lost() -> Response {
    let cut = stream::once(async { Err::<Bytes, _>(io::Error::other("answer lost on purpose")) });
    ([(header::CONNECTION, "close")], Body::from_stream(cut)).into_response()
}
