//! The four calls.

use std::error::Error;

use aggregates::{AttemptId, Currency, PaymentId};
use futures::{FutureExt, future::BoxFuture};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde_json::json;

use super::{PAYMENT_KEY_CHARS_MAX, TossConfig, TossConfigError, classify, payment::TossPayment, wire};
use crate::{
    http,
    provider::{Cancel, Confirm, Doubt, Provider, ProviderError, ProviderPayment, ProviderResult, ProviderStatus},
};

/// The longest answer that is read, in bytes: a Payment object has about two thousand.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The longest reason of a cancellation, in characters (API reference, cancel).
const CANCEL_REASON_CHARS_MAX: usize = 200;

/// Toss Payments, as a [`Provider`]. Clones share their connections.
#[derive(Clone)]
pub struct TossProvider {
    client: Client,
    base: Url,
    secret_key: String,
}

/// The body of every answer that is no success.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: String,
    message: String,
}

impl TossProvider {
    /// A provider at the configured place; connects on first use. The process must have installed a rustls
    /// cryptography provider before.
    pub fn new(config: &TossConfig) -> Result<Self, TossConfigError> {
        let base = config.validated()?;
        let client = http::client(&base, config.timeout).map_err(|error| TossConfigError::Client(Box::new(error)))?;
        Ok(Self { client, base, secret_key: config.secret_key.clone() })
    }

    /// The URL of `/v1/payments/…`, each segment percent-encoded.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only URLs without a host have no path, and those are no configuration.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "payments"]).extend(segments);
        }
        url
    }

    fn post(&self, segments: &[&str], key: AttemptId) -> RequestBuilder {
        self.authenticated(self.client.post(self.url(segments))).header("Idempotency-Key", key.to_string())
    }

    fn get(&self, segments: &[&str]) -> RequestBuilder {
        self.authenticated(self.client.get(self.url(segments)))
    }

    fn authenticated(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(&self.secret_key, Some(""))
    }

    async fn confirm_now(&self, confirm: Confirm) -> ProviderResult<ProviderPayment> {
        check_payment_key(&confirm.payment_key)?;
        let amount = wire::to_number(confirm.amount)
            .filter(|_| confirm.amount.amount > 0)
            .ok_or_else(|| local("LOCAL_AMOUNT", "the amount is zero or beyond what the provider can read"))?;
        let body = json!({ "paymentKey": confirm.payment_key, "orderId": confirm.order_id, "amount": amount });
        let mut request = self.post(&["confirm"], confirm.idempotency_key).json(&body);
        if confirm.amount.currency != Currency::Krw {
            request = request.header(wire::CURRENCY_HEADER, wire::code(confirm.amount.currency));
        }
        let payment = send(request).await?;
        expect("orderId", payment.order_id == confirm.order_id)?;
        expect("paymentKey", payment.payment_key == confirm.payment_key)?;
        expect("totalAmount", payment.amount == confirm.amount)?;
        expect("status", payment.status == ProviderStatus::Done)?;
        Ok(payment)
    }

    async fn cancel_now(&self, cancel: Cancel) -> ProviderResult<ProviderPayment> {
        check_payment_key(&cancel.payment_key)?;
        if !(1..=CANCEL_REASON_CHARS_MAX).contains(&cancel.reason.chars().count()) {
            return Err(local("LOCAL_CANCEL_REASON", "the reason has none or too many characters"));
        }
        // Without `cancelAmount` all that is left is given back.
        let body = json!({ "cancelReason": cancel.reason });
        let request = self.post(&[&cancel.payment_key, "cancel"], cancel.idempotency_key).json(&body);
        let payment = send(request).await?;
        expect("paymentKey", payment.payment_key == cancel.payment_key)?;
        expect("status", payment.status == ProviderStatus::Canceled)?;
        Ok(payment)
    }

    async fn lookup_order_now(&self, order_id: PaymentId) -> ProviderResult<Option<ProviderPayment>> {
        let found = known(send(self.get(&["orders", &order_id.to_string()])).await)?;
        expect("orderId", found.as_ref().is_none_or(|payment| payment.order_id == order_id))?;
        Ok(found)
    }

    async fn lookup_key_now(&self, payment_key: &str) -> ProviderResult<Option<ProviderPayment>> {
        check_payment_key(payment_key)?;
        let found = known(send(self.get(&[payment_key])).await)?;
        expect("paymentKey", found.as_ref().is_none_or(|payment| payment.payment_key == payment_key))?;
        Ok(found)
    }
}

impl Provider for TossProvider {
    fn confirm(&self, confirm: Confirm) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        self.confirm_now(confirm).boxed()
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, ProviderResult<ProviderPayment>> {
        self.cancel_now(cancel).boxed()
    }

    fn lookup_order(&self, order_id: PaymentId) -> BoxFuture<'_, ProviderResult<Option<ProviderPayment>>> {
        self.lookup_order_now(order_id).boxed()
    }

    fn lookup_key<'a>(&'a self, payment_key: &'a str) -> BoxFuture<'a, ProviderResult<Option<ProviderPayment>>> {
        self.lookup_key_now(payment_key).boxed()
    }
}

async fn send(request: RequestBuilder) -> ProviderResult<ProviderPayment> {
    let response = request.send().await.map_err(undelivered)?;
    let status = response.status();
    let body = read(response).await?;
    if status.is_success() {
        let payment: TossPayment = serde_json::from_slice(&body).map_err(unreadable)?;
        return Ok(payment.try_into()?);
    }
    // A refusal without a readable body, from a proxy perhaps, goes by its status alone.
    let Refusal { code, message } = serde_json::from_slice(&body).unwrap_or_default();
    Err(classify(status.as_u16(), &code, &message))
}

async fn read(mut response: Response) -> ProviderResult<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(undelivered)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(unreadable(format!("longer than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A lookup that finds nothing is an answer, not an error.
fn known(found: ProviderResult<ProviderPayment>) -> ProviderResult<Option<ProviderPayment>> {
    match found {
        Ok(payment) => Ok(Some(payment)),
        Err(ProviderError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a call that brought no complete answer leaves us knowing. The URL is left out: it holds the payment key.
fn undelivered(error: reqwest::Error) -> ProviderError {
    let error = error.without_url();
    if error.is_connect() {
        ProviderError::Unreachable(error.into())
    } else if error.is_builder() {
        local("LOCAL_REQUEST", &error.to_string())
    } else if error.is_timeout() {
        Doubt::Timeout.into()
    } else {
        Doubt::Lost(error.into()).into()
    }
}

fn unreadable(error: impl Into<Box<dyn Error + Send + Sync>>) -> ProviderError {
    Doubt::Unreadable(error.into()).into()
}

fn local(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { code: code.to_owned(), message: message.to_owned() }
}

fn expect(what: &'static str, holds: bool) -> ProviderResult<()> {
    if holds { Ok(()) } else { Err(Doubt::Contradiction(what).into()) }
}

/// The key becomes a segment of the path, where dots alone would be another path.
fn check_payment_key(key: &str) -> ProviderResult<()> {
    if key.is_empty() || key.chars().count() > PAYMENT_KEY_CHARS_MAX || key.chars().any(char::is_control) {
        return Err(local("LOCAL_PAYMENT_KEY", "the payment key has none, too many or unprintable characters"));
    }
    if matches!(key, "." | "..") {
        return Err(local("LOCAL_PAYMENT_KEY", "the payment key is no name"));
    }
    Ok(())
}
