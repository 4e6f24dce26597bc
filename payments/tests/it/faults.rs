//! `/_sim`.

use payments::{Provider, simulator::Faults};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Desk, cancel, confirm, in_time, new_payment};

#[tokio::test]
async fn faults_and_counts_are_shown_and_reset() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    desk.toss.confirm(wanted.clone()).await.unwrap();
    desk.fault(json!({"latencyMs": [1, 2], "declineRate": 0.5, "duplicateWebhooks": 2})).await;
    desk.fault(json!({"declineRate": 0.25})).await;
    let expected = json!({
        "latencyMs": [1, 2], "failRate": 0.0, "declineRate": 0.25, "loseAnswerRate": 0.0,
        "lateEffectRate": 0.0, "duplicateWebhooks": 2, "reorderWebhooks": false, "down": false,
        "calls": 2, "approvals": 1, "cancellations": 0, "moneyMovements": 1, "charged": 110_000, "refunded": 0,
    });
    assert_eq!(desk.sim(Method::GET, "").await, (StatusCode::OK, expected));

    let (status, shown) = desk.sim(Method::DELETE, "").await;
    assert_eq!((status, &shown["calls"], &shown["declineRate"]), (StatusCode::OK, &json!(0), &json!(0.0)));
    assert_eq!(desk.simulator.faults(), Faults::default());
    // The books stay.
    desk.toss.cancel(cancel(&wanted)).await.unwrap();
    assert_eq!(desk.counts().refunded, 110_000);
}

#[tokio::test]
async fn what_is_no_fault_changes_nothing() {
    let desk = Desk::open().await;
    for (body, status) in [
        (r#"{"down": true, "failRate": 2}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"down": true, "unheardOf": 1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"down": "yes"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"latencyMs": 400}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("[]", StatusCode::UNPROCESSABLE_ENTITY),
        ("{", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        let (answered, refusal) = desk.sim(Method::PUT, body).await;
        assert_eq!(answered, status, "{body}");
        assert_eq!(refusal["code"], "INVALID_REQUEST", "{body}");
        assert!(refusal["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    }
    assert_eq!(desk.simulator.faults(), Faults::default());
}

#[tokio::test]
async fn every_refusal_has_the_services_body() {
    let desk = Desk::open().await;
    let (status, refusal) = call(&desk, Method::GET, "/v1/payments/none", Some("k"), "").await;
    assert_eq!((status, refusal["code"].as_str()), (StatusCode::NOT_FOUND, Some("NOT_FOUND_PAYMENT")));
    let (status, refusal) = call(&desk, Method::POST, "/v1/payments/confirm", None, "").await;
    assert_eq!((status, refusal["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("UNAUTHORIZED_KEY")));
    for body in ["", "{}", r#"{"paymentKey": "k", "orderId": "order-1", "amount": "5"}"#] {
        let (status, refusal) = call(&desk, Method::POST, "/v1/payments/confirm", Some("k"), body).await;
        assert_eq!((status, refusal["code"].as_str()), (StatusCode::BAD_REQUEST, Some("INVALID_REQUEST")), "{body}");
    }
    let (status, refusal) = call(&desk, Method::GET, "/nowhere", Some("k"), "").await;
    assert_eq!((status, refusal["code"].as_str()), (StatusCode::NOT_FOUND, Some("NOT_FOUND")));
}

#[tokio::test]
async fn the_end_does_not_wait_for_slow_answers() {
    let desk = Desk::open().await;
    desk.fault(json!({"latencyMs": [10_000, 10_000]})).await;
    let toss = desk.toss.clone();
    let slow = tokio::spawn(async move { toss.confirm(confirm(new_payment())).await });
    in_time("the call to arrive", async {
        while desk.counts().calls == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    desk.close().await;
    in_time("the slow answer", slow).await.unwrap().unwrap();
}

async fn call(desk: &Desk, method: Method, path: &str, key: Option<&str>, body: &str) -> (StatusCode, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = client.request(method, format!("http://{}{path}", desk.address)).body(body.to_owned());
    let call = if let Some(key) = key { call.basic_auth(key, Some("")) } else { call };
    let answer = call.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}
