//! Payment keys come from whoever pays. One that is made up is that one's own trouble, and nobody else's.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use payments::{Approval, ApproveError, BreakerState, Cashier, GuardOptions, Provider};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    desk::{adapter, install_cryptography},
    till::{Till, metadata, new_attempt},
};

/// What the real service answers to a confirmation with a payment key that is none, that is of another payment or
/// amount, or whose session is over; after its page of error codes.
const REFUSALS: [(u16, &str, &str); 5] = [
    (404, "NOT_FOUND_PAYMENT", "존재하지 않는 결제 입니다."),
    (404, "NOT_FOUND_PAYMENT_SESSION", "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다."),
    (400, "INVALID_REQUEST", "잘못된 요청입니다."),
    (403, "FORBIDDEN_REQUEST", "허용되지 않은 요청입니다."),
    (400, "UNAPPROVED_ORDER_ID", "아직 승인되지 않은 주문번호입니다."),
];

type Answer = (StatusCode, Json<Value>);

/// A provider that answers every confirmation so.
async fn answering((status, code, message): (u16, &str, &str)) -> (AbortOnDropHandle<()>, Arc<dyn Provider>) {
    install_cryptography();
    let answer: Answer = (StatusCode::from_u16(status).unwrap(), Json(json!({"code": code, "message": message})));
    let told = async |State(answer): State<Answer>| answer;
    let routes = Router::new().route("/v1/payments/confirm", post(told)).with_state(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (AbortOnDropHandle::new(serving), Arc::new(adapter(address)))
}

/// Opens at the first trouble that follows another.
fn nervous() -> GuardOptions {
    GuardOptions { window_tries: 1, ..GuardOptions::default() }
}

#[tokio::test]
async fn a_made_up_payment_key_is_declined_and_leaves_the_till_open_for_everybody() {
    let till = Till::open().await;
    for refusal in REFUSALS {
        let (_serving, provider) = answering(refusal).await;
        let cashier = Cashier::new(till.journal.clone(), provider, nervous());
        let payment = till.payment().await;
        for _ in 0..3 {
            let outcome = cashier.approve(payment, new_attempt(), "made-up".to_owned(), &metadata()).await.unwrap();
            let Approval::Declined { code, .. } = &outcome else { panic!("{refusal:?}: {outcome:?}") };
            assert_eq!(code, refusal.1);
        }
        assert_eq!(cashier.breaker(), BreakerState::Closed, "{refusal:?}");
        // With a real key it can still be paid.
        assert!(matches!(till.pay(payment, new_attempt()).await.unwrap(), Approval::Approved { .. }));
    }
}

#[tokio::test]
async fn a_call_that_came_right_after_another_is_doubt_and_no_trouble() {
    let till = Till::open().await;
    for refusal in [(403, "FORBIDDEN_CONSECUTIVE_REQUEST", ""), (409, "IDEMPOTENT_REQUEST_PROCESSING", "")] {
        let (_serving, provider) = answering(refusal).await;
        let cashier = Cashier::new(till.journal.clone(), provider, nervous());
        let payment = till.payment().await;
        for _ in 0..3 {
            let outcome = cashier.approve(payment, new_attempt(), "clicked".to_owned(), &metadata()).await.unwrap();
            assert!(matches!(outcome, Approval::Later { .. }), "{refusal:?}: {outcome:?}");
        }
        assert!(till.state(payment).await.in_flight().is_some(), "nobody knows yet");
        assert_eq!(cashier.breaker(), BreakerState::Closed, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_key_of_ours_that_is_refused_is_everybody_s_trouble() {
    let till = Till::open().await;
    let (_serving, provider) = answering((401, "UNAUTHORIZED_KEY", "")).await;
    let cashier = Cashier::new(till.journal.clone(), provider, nervous());
    for _ in 0..2 {
        let payment = till.payment().await;
        let outcome = cashier.approve(payment, new_attempt(), "good".to_owned(), &metadata()).await;
        assert!(matches!(outcome, Err(ApproveError::Provider(_))), "{outcome:?}");
    }
    assert_eq!(cashier.breaker(), BreakerState::Open);
}
