//! What the payment provider tells us of its own accord.

use axum::extract::State;
use payments::webhooks::Taken;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    json::ApiJson,
    problem::{Kind, Problem, ProblemDocument},
    state::Api,
};

/// A webhook of Toss Payments. What else is in it is left unread.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TossWebhook {
    /// Which event. One that is not known is taken and forgotten.
    #[schema(example = "PAYMENT_STATUS_CHANGED")]
    event_type: String,
    /// When it was made, in Korean time without saying so. Not believed.
    #[serde(rename = "createdAt")]
    #[schema(example = "2026-01-02T14:46:59.653270")]
    _created_at: String,
    /// Of `PAYMENT_STATUS_CHANGED`, the Payment object; read of it are `orderId`, `paymentKey`, `status` and
    /// `lastTransactionKey`.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Value,
}

/// A change at the payment provider Toss Payments.
///
/// Anybody can send one, so none is believed: what it names is looked up at the provider, unless the log says the same already,
/// and what follows, follows from that. A change that was told before has no second effect. Of payments that are not ours nothing is kept. 200 means that
/// it is on disk, or that there is nothing to keep; with anything else the provider sends it again.
#[utoipa::path(post, path = "/payments/webhooks/toss", tag = "payments", request_body = TossWebhook, responses(
    (status = 200, description = "taken, now or before"),
    (status = 400, description = "not JSON", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 413, description = "the body is too large", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 422, description = "not what Toss Payments sends", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 500, description = "something is wrong on our side", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 503, description = "send it again a little later", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn toss(
    State(api): State<Api>,
    ApiJson { value: TossWebhook { event_type, data, .. }, .. }: ApiJson<TossWebhook>,
) -> Result<(), Problem> {
    let inbox = api
        .inbox
        .as_ref()
        .ok_or_else(|| Problem::new(Kind::PaymentBusy, "no payment provider is configured here; ask the operator"))?;
    // The sender need not know which.
    match inbox.take(&event_type, &data).await? {
        Taken::Stored | Taken::Known | Taken::Said | Taken::TooMany | Taken::Ignored | Taken::Unknown => Ok(()),
    }
}
