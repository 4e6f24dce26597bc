//! Effects that come after the latency: when the caller may have given up.

use payments::{Doubt, Provider, ProviderError};
use reqwest::{Method, StatusCode};
use serde_json::json;
use stack::testing::eventually;

use crate::desk::{Desk, PATIENCE, SECRET, adapter_with, confirm, in_time, new_payment};

/// A provider that has taken a call, and does it only after a second.
async fn slow() -> Desk {
    let desk = Desk::open().await;
    desk.fault(json!({"lateEffectRate": 1, "latencyMs": [1_000, 1_000]})).await;
    desk
}

/// From here on calls are answered at once; those before are not.
async fn hurry(desk: &Desk) {
    desk.fault(json!({"lateEffectRate": 0, "latencyMs": [0, 0]})).await;
}

#[tokio::test]
async fn who_gives_up_waiting_may_be_charged_later() {
    let desk = slow().await;
    let impatient = adapter_with(desk.address, SECRET, 200);
    let wanted = confirm(new_payment());
    let error = impatient.confirm(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Timeout)), "{error:?}");
    hurry(&desk).await;
    assert_eq!(desk.toss.lookup_order(wanted.order_id).await.unwrap(), None, "not yet");
    eventually("the late effect", PATIENCE, async || desk.counts().approvals == 1).await;
    assert!(desk.toss.lookup_order(wanted.order_id).await.unwrap().is_some());
    desk.toss.confirm(wanted).await.unwrap();
    assert_eq!(desk.counts().money_movements, 1);
}

#[tokio::test]
async fn what_is_repeated_while_it_is_carried_out_is_told_so() {
    let desk = slow().await;
    let wanted = confirm(new_payment());
    let first = tokio::spawn({
        let (toss, wanted) = (desk.toss.clone(), wanted.clone());
        async move { toss.confirm(wanted).await }
    });
    eventually("the call to arrive", PATIENCE, async || desk.counts().calls == 1).await;
    hurry(&desk).await;
    let error = desk.toss.confirm(wanted.clone()).await.unwrap_err();
    assert!(!error.is_certain() && error.is_retryable(), "{error:?}");
    let key = wanted.idempotency_key.to_string();
    let body = json!({"paymentKey": wanted.payment_key, "orderId": wanted.order_id, "amount": 110_000}).to_string();
    let (status, refusal) = desk.call(Method::POST, "/v1/payments/confirm", &[("idempotency-key", &key)], &body).await;
    assert_eq!((status, &refusal["code"]), (StatusCode::CONFLICT, &json!("IDEMPOTENT_REQUEST_PROCESSING")));
    let paid = in_time("the first answer", first).await.unwrap().unwrap();
    assert_eq!(desk.toss.confirm(wanted).await.unwrap(), paid);
    assert_eq!(desk.counts().money_movements, 1);
}

#[tokio::test]
async fn what_was_taken_is_done_before_the_end() {
    let desk = Desk::open().await;
    desk.fault(json!({"lateEffectRate": 1, "latencyMs": [10_000, 10_000]})).await;
    let impatient = adapter_with(desk.address, SECRET, 200);
    impatient.confirm(confirm(new_payment())).await.unwrap_err();
    let simulator = desk.simulator.clone();
    desk.close().await;
    assert_eq!(simulator.counts().approvals, 1);
}
