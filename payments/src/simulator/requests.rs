//! What a call says, checked in form.

use std::sync::Arc;

use aggregates::{Currency, Money};
use axum::{body::Bytes, http::HeaderMap};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::Utc;
use serde::Deserialize;
use serde_json::Number;

use super::{
    answer::Refusal,
    ledger::{Charge, GiveBack},
};
use crate::toss::{self, IDEMPOTENCY_KEY_CHARS_MAX, PAYMENT_KEY_CHARS_MAX};

/// How long an order id is, in characters (API reference, Payment object).
const ORDER_ID_CHARS: std::ops::RangeInclusive<usize> = 6..=64;

/// The longest reason of a cancellation, in characters (API reference, cancel).
const CANCEL_REASON_CHARS_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmBody {
    payment_key: String,
    order_id: String,
    amount: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CancelBody {
    cancel_reason: String,
    cancel_amount: Option<Number>,
    refundable_amount: Option<Number>,
}

/// The body of `POST /v1/payments/confirm`.
pub(super) fn charge(headers: &HeaderMap, body: &Bytes) -> Result<Charge, Refusal> {
    let body: ConfirmBody = serde_json::from_slice(body).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=');
    if !(1..=PAYMENT_KEY_CHARS_MAX).contains(&body.payment_key.chars().count()) {
        return Err(Refusal::Invalid("paymentKey: 1 to 200 characters".into()));
    }
    if !ORDER_ID_CHARS.contains(&body.order_id.len()) || !body.order_id.chars().all(named) {
        return Err(Refusal::Invalid("orderId: 6 to 64 letters, digits, '-', '_' or '='".into()));
    }
    let amount = amount(&body.amount, currency(headers)?, "amount")?;
    let at = Utc::now();
    Ok(Charge { payment_key: body.payment_key, order_id: body.order_id, amount, declined: false, at })
}

/// The body of `POST /v1/payments/{paymentKey}/cancel`, for a payment in `currency`.
pub(super) fn give_back(payment_key: String, currency: Currency, body: &Bytes) -> Result<GiveBack, Refusal> {
    let body: CancelBody = serde_json::from_slice(body).map_err(|error| Refusal::Invalid(error.to_string()))?;
    if !(1..=CANCEL_REASON_CHARS_MAX).contains(&body.cancel_reason.chars().count()) {
        return Err(Refusal::Invalid("cancelReason: 1 to 200 characters".into()));
    }
    let amount = body.cancel_amount.map(|number| amount(&number, currency, "cancelAmount")).transpose()?;
    let balance = body.refundable_amount.map(|number| {
        let money = toss::from_number(&number, currency);
        money.ok_or_else(|| Refusal::Invalid("refundableAmount: not an amount of the currency".into()))
    });
    Ok(GiveBack {
        payment_key,
        amount: amount.map(|money| money.amount),
        balance: balance.transpose()?.map(|money| money.amount),
        reason: body.cancel_reason,
        at: Utc::now(),
    })
}

fn amount(number: &Number, currency: Currency, field: &str) -> Result<Money, Refusal> {
    toss::from_number(number, currency)
        .filter(|money| money.amount > 0)
        .ok_or_else(|| Refusal::Invalid(format!("{field}: above zero, and no finer than the currency")))
}

fn currency(headers: &HeaderMap) -> Result<Currency, Refusal> {
    match headers.get(toss::CURRENCY_HEADER).map(|value| value.to_str()) {
        None => Ok(Currency::Krw),
        Some(Ok(code)) => serde_json::from_value(code.into()).map_err(|error| Refusal::Invalid(error.to_string())),
        Some(Err(error)) => Err(Refusal::Invalid(error.to_string())),
    }
}

/// The name under which the answer to a call at `path` is remembered: its `Idempotency-Key`, if it has one, and the path.
pub(super) fn name_of_call(path: &str, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|error| Refusal::Invalid(error.to_string()))?;
    if key.len() > IDEMPOTENCY_KEY_CHARS_MAX {
        return Err(Refusal::IdempotencyKeyTooLong);
    }
    Ok(Some(format!("{path}\n{key}").into()))
}

/// Basic authentication with the secret key as user name and no password; any key will do where none is `expected`.
pub(super) fn authenticate(headers: &HeaderMap, expected: Option<&str>) -> Result<(), Refusal> {
    let encoded = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .map(|(_, encoded)| encoded.trim())
        .ok_or(Refusal::Unauthorized)?;
    let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| Refusal::BadBasicAuth)?;
    let decoded = String::from_utf8(decoded).map_err(|_| Refusal::BadBasicAuth)?;
    let (key, _) = decoded.split_once(':').ok_or(Refusal::BadBasicAuth)?;
    if key.is_empty() || expected.is_some_and(|expected| key != expected) {
        return Err(Refusal::Unauthorized);
    }
    Ok(())
}
