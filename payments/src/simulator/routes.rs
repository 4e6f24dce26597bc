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

use super::{admin, answer::Refusal, call::Call, language::Language, record::Record, requests, state::Simulator};

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
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_path)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(simulator)
}

async fn confirm(Extracted(simulator): Extracted<Simulator>, headers: HeaderMap, body: Body) -> Response {
    let under = requests::name_of_call(CONFIRM_PATH, &headers);
    let call = Call { simulator, headers, under };
    call.carry_out(|call, books, fate| {
        let mut charge = requests::charge(&call.headers, &readable(body)?)?;
        charge.declined = fate.declines;
        let faults = books.faults();
        let announce = |record: &Record| call.simulator.announce(record, faults);
        books.once(call.under.clone()?, |ledger| ledger.confirm(charge), announce)
    })
    .await
}

async fn cancel(
    Extracted(simulator): Extracted<Simulator>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let under = requests::name_of_call(&format!("/v1/payments/{payment_key}/cancel"), &headers);
    let call = Call { simulator, headers, under };
    call.carry_out(|call, books, _| {
        let faults = books.faults();
        let announce = |record: &Record| call.simulator.announce(record, faults);
        let currency = books.ledger.by_key(&payment_key).map_or(Currency::Krw, |record| record.amount.currency);
        let wanted = requests::give_back(payment_key, currency, &readable(body)?)?;
        books.once(call.under.clone()?, |ledger| ledger.cancel(wanted), announce)
    })
    .await
}

async fn by_order(
    Extracted(simulator): Extracted<Simulator>,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    simulator.look_up(&headers, |ledger| ledger.by_order(&order_id).cloned()).await
}

async fn by_key(
    Extracted(simulator): Extracted<Simulator>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
) -> Response {
    simulator.look_up(&headers, |ledger| ledger.by_key(&payment_key).cloned()).await
}

async fn no_such_path(headers: HeaderMap) -> Response {
    Refusal::NoSuchPath.told_in(Language::of(&headers))
}

pub(super) fn readable(body: Body) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| Refusal::Invalid(rejection.body_text()))
}
