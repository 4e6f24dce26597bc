//! A shop's receiver, and what the simulator tells it.

use std::collections::BTreeSet;

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use payments::{Confirm, Provider, simulator::Simulator};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

use crate::desk::{Desk, cancel, confirm, in_time, new_payment};

/// More than any of these tests sends.
const RECEIVED_MAX: usize = 100;

/// One webhook that was taken.
#[derive(Debug)]
struct Told {
    headers: HeaderMap,
    body: Value,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        self.headers[format!("tosspayments-webhook-transmission-{name}")].to_str().unwrap()
    }

    fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap()
    }

    /// Order and status.
    fn what(&self) -> (&str, &str) {
        (self.text("/data/orderId"), self.text("/data/status"))
    }
}

/// Takes webhooks on a port of its own, but for those that it refuses, by order and how often they were sent before.
struct Receiver {
    received: mpsc::Receiver<Told>,
    serving: JoinHandle<()>,
}

impl Receiver {
    async fn open(refuses: impl Fn(&str, u32) -> bool + Clone + Send + Sync + 'static) -> (Self, Simulator) {
        let (sender, received) = mpsc::channel(RECEIVED_MAX);
        let take = async move |headers: HeaderMap, Json(body): Json<Value>| {
            let told = Told { headers, body };
            if refuses(told.text("/data/orderId"), told.header("retried-count").parse().unwrap()) {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            sender.send(told).await.unwrap();
            StatusCode::OK
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().route("/hook", post(take));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (Self { received, serving }, Simulator::new().webhook_url(url))
    }

    async fn next(&mut self) -> Told {
        in_time("a webhook", self.received.recv()).await.unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn each_change_is_told_as_often_as_wanted() {
    let (mut receiver, simulator) = Receiver::open(|_, _| false).await;
    let desk = Desk::open_with(simulator).await;
    desk.fault(json!({"duplicateWebhooks": 1})).await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    // A repeated call changes nothing, so it is not told.
    desk.toss.confirm(wanted.clone()).await.unwrap();
    desk.toss.cancel(cancel(&wanted)).await.unwrap();
    let order = wanted.order_id.to_string();
    let mut names = Vec::new();
    for status in ["DONE", "DONE", "CANCELED", "CANCELED"] {
        let told = receiver.next().await;
        assert_eq!(told.what(), (order.as_str(), status));
        names.push(told.header("id").to_owned());
    }
    // A repetition has the name of what it repeats.
    assert_eq!(names[0], names[1]);
    assert_eq!(names[2], names[3]);
    assert_ne!(names[1], names[2]);
    desk.close().await;
    assert!(receiver.received.try_recv().is_err());
}

#[tokio::test]
async fn a_webhook_has_the_services_headers_and_body() {
    let (mut receiver, simulator) = Receiver::open(|_, _| false).await;
    let desk = Desk::open_with(simulator).await;
    let wanted = Confirm { payment_key: "decline".into(), ..confirm(new_payment()) };
    desk.toss.confirm(wanted.clone()).await.unwrap_err();
    let told = receiver.next().await;
    // A decline is a change, too.
    assert_eq!(told.what(), (wanted.order_id.to_string().as_str(), "ABORTED"));
    assert_eq!(told.text("/eventType"), "PAYMENT_STATUS_CHANGED");
    assert_eq!(told.headers["content-type"], "application/json");
    assert_eq!(told.header("retried-count"), "0");
    let sent: DateTime<Utc> = told.header("time").parse().unwrap();
    let created: NaiveDateTime = told.text("/createdAt").parse().unwrap();
    let created = created.and_utc() - TimeDelta::hours(9);
    for time in [sent, created] {
        assert!((Utc::now() - time).abs() < TimeDelta::seconds(10), "{told:?}");
    }
}

#[tokio::test]
async fn a_refused_webhook_is_sent_again_and_keeps_back_no_other() {
    // For four seconds in all.
    const REFUSED: u32 = 4;
    let (unwelcome, welcome) = (confirm(new_payment()), confirm(new_payment()));
    let order = unwelcome.order_id.to_string();
    let (mut receiver, simulator) = Receiver::open(move |of, tried| of == order && tried < REFUSED).await;
    let desk = Desk::open_with(simulator).await;
    desk.toss.confirm(unwelcome.clone()).await.unwrap();
    desk.toss.confirm(welcome.clone()).await.unwrap();
    assert_eq!(receiver.next().await.what(), (welcome.order_id.to_string().as_str(), "DONE"));
    let told = receiver.next().await;
    assert_eq!(told.what(), (unwelcome.order_id.to_string().as_str(), "DONE"));
    assert_eq!(told.header("retried-count"), REFUSED.to_string());
    desk.close().await;
}

#[tokio::test]
async fn webhooks_arrive_in_another_order_where_that_is_wanted() {
    // None of them being overtaken has a chance of a half to this power.
    const PAYMENTS: usize = 30;
    let (mut receiver, simulator) = Receiver::open(|_, _| false).await;
    let desk = Desk::open_with(simulator).await;
    desk.fault(json!({"reorderWebhooks": true})).await;
    for _ in 0..PAYMENTS {
        let wanted = confirm(new_payment());
        desk.toss.confirm(wanted.clone()).await.unwrap();
        desk.toss.cancel(cancel(&wanted)).await.unwrap();
    }
    let (mut told, mut overtaken) = (BTreeSet::new(), 0);
    for _ in 0..2 * PAYMENTS {
        let next = receiver.next().await;
        let (order, status) = next.what();
        if status == "CANCELED" && !told.contains(&(order.to_owned(), "DONE".to_owned())) {
            overtaken += 1;
        }
        assert!(told.insert((order.to_owned(), status.to_owned())), "{order} {status} twice");
    }
    assert!(overtaken > 0);
    desk.close().await;
}
