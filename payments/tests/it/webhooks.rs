//! A shop's receiver, and what the simulator tells it.

use axum::{Json, Router, http::StatusCode, routing::post};
use payments::{Provider, simulator::Simulator};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

use crate::desk::{Desk, cancel, confirm, in_time, new_payment};

/// More than any of these tests sends.
const RECEIVED_MAX: usize = 100;

/// Takes webhooks on a port of its own, after refusing the first `refusals` of them.
async fn receiver(refusals: usize) -> (Simulator, mpsc::Receiver<Value>, JoinHandle<()>) {
    let (sender, received) = mpsc::channel(RECEIVED_MAX);
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(refusals));
    let take = async move |Json(body): Json<Value>| {
        use std::sync::atomic::Ordering::SeqCst;
        if left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        sender.send(body).await.unwrap();
        StatusCode::OK
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new().route("/hook", post(take));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (Simulator::new().webhook_url(url), received, serving)
}

async fn next(received: &mut mpsc::Receiver<Value>) -> (String, String) {
    let body = in_time("a webhook", received.recv()).await.unwrap();
    assert_eq!(body["eventType"], "PAYMENT_STATUS_CHANGED");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&body["data"]["orderId"]), text(&body["data"]["status"]))
}

#[tokio::test]
async fn each_change_is_told_as_often_as_wanted() {
    let (simulator, mut received, serving) = receiver(0).await;
    let desk = Desk::open_with(simulator).await;
    desk.fault(json!({"duplicateWebhooks": 1})).await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    // A repeated call changes nothing, so it is not told.
    desk.toss.confirm(wanted.clone()).await.unwrap();
    desk.toss.cancel(cancel(&wanted)).await.unwrap();
    let order = wanted.order_id.to_string();
    for status in ["DONE", "DONE", "CANCELED", "CANCELED"] {
        assert_eq!(next(&mut received).await, (order.clone(), status.to_owned()));
    }
    desk.close().await;
    assert!(received.try_recv().is_err());
    serving.abort();
}

#[tokio::test]
async fn a_refused_webhook_is_sent_again() {
    let (simulator, mut received, serving) = receiver(2).await;
    let desk = Desk::open_with(simulator).await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    assert_eq!(next(&mut received).await, (wanted.order_id.to_string(), "DONE".to_owned()));
    desk.close().await;
    serving.abort();
}
