//! The endpoints. Source: `https://docs.tosspayments.com/reference`.

use aggregates::Currency;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State as Extracted, rejection::BytesRejection},
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};

use super::{
    admin,
    answer::Refusal,
    faults::Fate,
    record::Record,
    requests,
    state::{Kind, Simulator, State},
};

/// The longest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

const CONFIRM_PATH: &str = "/v1/payments/confirm";

type Body = Result<Bytes, BytesRejection>;

/// The API of `simulator` and its `/_sim`. Webhooks are sent only by [`serve`](super::serve).
pub fn router(simulator: Simulator) -> Router {
    Router::new()
        .route(CONFIRM_PATH, post(confirm))
        .route("/v1/payments/{payment_key}/cancel", post(cancel))
        .route("/v1/payments/orders/{order_id}", get(by_order))
        .route("/v1/payments/{payment_key}", get(by_key))
        .route("/_sim", get(admin::show).put(admin::change).delete(admin::reset))
        .fallback(async || Refusal::NoSuchPath)
        .method_not_allowed_fallback(async || Refusal::NoSuchPath)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(simulator)
}

async fn confirm(Extracted(simulator): Extracted<Simulator>, headers: HeaderMap, body: Body) -> Response {
    let act = |state: &mut State, fate: &Fate| {
        let body = readable(body)?;
        let mut charge = requests::charge(&headers, &body)?;
        charge.declined = fate.declines;
        let State { faults, books } = state;
        let announce = |record: &Record| simulator.announce(record, faults.duplicate_webhooks);
        books.once(CONFIRM_PATH, requests::idempotency_key(&headers)?, |ledger| ledger.confirm(charge), announce)
    };
    simulator.answer(Kind::Command, &headers, act).await
}

async fn cancel(
    Extracted(simulator): Extracted<Simulator>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let act = |state: &mut State, _: &Fate| {
        let body = readable(body)?;
        let State { faults, books } = state;
        let announce = |record: &Record| simulator.announce(record, faults.duplicate_webhooks);
        let currency = books.ledger.by_key(&payment_key).map_or(Currency::Krw, |record| record.amount.currency);
        let path = format!("/v1/payments/{payment_key}/cancel");
        let wanted = requests::give_back(payment_key, currency, &body)?;
        books.once(&path, requests::idempotency_key(&headers)?, |ledger| ledger.cancel(wanted), announce)
    };
    simulator.answer(Kind::Command, &headers, act).await
}

async fn by_order(
    Extracted(simulator): Extracted<Simulator>,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    simulator.answer(Kind::Lookup, &headers, |state, _| state.books.ledger.by_order(&order_id).cloned()).await
}

async fn by_key(
    Extracted(simulator): Extracted<Simulator>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
) -> Response {
    simulator.answer(Kind::Lookup, &headers, |state, _| state.books.ledger.by_key(&payment_key).cloned()).await
}

pub(super) fn readable(body: Body) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| Refusal::Invalid(rejection.body_text()))
}
