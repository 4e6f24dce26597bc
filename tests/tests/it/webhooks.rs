//! What the payment provider tells of its own accord: stored before it is answered, never believed, heeded once.

use aggregates::{BookingEvent, Event, booking::CancelReason};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{io::AsyncReadExt, net::TcpListener, time::timeout};
use uuid::Uuid;

use crate::support::{Answer, Boxoffice, Client, Fan, Log, PRICE, Provider, SOON, assert_books_agree, eventually};

const PATH: &str = "/payments/webhooks/toss";

/// A booking of one ticket of ten.
struct Booked {
    fan: Fan,
    concert: String,
    booking: String,
    payment: String,
    /// The provider's name for the payment, once it is made.
    key: String,
}

impl Booked {
    async fn at(system: &Boxoffice) -> Self {
        let concert = system.organizer().await.register_concert(10).await;
        let fan = system.fan().await;
        let booked = fan.book(&concert, 1).await.ok(201);
        let (booking, payment) = (booked.text_at("/bookingId"), booked.text_at("/paymentId"));
        Self { fan, concert, booking, payment, key: format!("key-{}", Uuid::new_v4()) }
    }

    /// Paid as a patient client does.
    async fn paid(self) -> Self {
        let (path, body) = (format!("/payments/{}/approve", self.payment), json!({"paymentKey": self.key}));
        self.fan.post_patiently(&path, &self.key, &body).await.ok(200);
        self
    }

    async fn becomes(&self, status: &str) {
        let path = format!("/bookings/{}", self.booking);
        eventually(&format!("the booking to be {status}"), SOON, || async {
            self.fan.get(&path).await.ok(200).text_at("/status") == status
        })
        .await;
    }

    /// Somebody gives the money back in the provider's own shop window.
    async fn refunded_at(&self, system: &Boxoffice) {
        let provider = system.provider();
        let request = provider.request(Method::POST, &format!("/v1/payments/{}/cancel", self.key));
        let request = request.basic_auth(system.setting("PROVIDER_SECRET"), Some(""));
        provider.send(request.json(&json!({"cancelReason": "in the dashboard"}))).await.ok(200);
    }

    /// What the provider would send of it.
    fn told(&self, status: &str) -> Value {
        webhook(&json!({"orderId": self.payment, "paymentKey": self.key, "status": status, "totalAmount": 1}))
    }
}

fn webhook(data: &Value) -> Value {
    json!({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-01-02T14:46:59.65327", "data": data})
}

/// How many webhooks are kept, and how many of them are heeded.
async fn kept(postgres: &PgPool) -> (i64, i64) {
    let sql = "SELECT count(*), count(heeded_at) FROM payment_webhooks";
    sqlx::query_as(sql).fetch_one(postgres).await.unwrap()
}

/// Those of one status. What the provider tells of a payment just made may be kept or not: it is not, if the log says so in
/// time.
async fn kept_as(postgres: &PgPool, status: &str) -> (i64, i64) {
    let sql = "SELECT count(*), count(heeded_at) FROM payment_webhooks WHERE status = $1";
    sqlx::query_as(sql).bind(status).fetch_one(postgres).await.unwrap()
}

async fn all_heeded(postgres: &PgPool) {
    let heeded = async || {
        let (kept, heeded) = self::kept(postgres).await;
        kept == heeded
    };
    eventually("every webhook to be heeded", SOON, heeded).await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_out_by_a_webhook() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let booked = Booked::at(&system).await;
    let provider = system.provider();
    provider.set_faults(json!({"loseAnswerRate": 1.0, "duplicateWebhooks": 3, "reorderWebhooks": true})).await;
    booked.fan.pay_with(&booked.payment, &booked.key).await.problem(503, "payment-busy");
    provider.set_faults(json!({"loseAnswerRate": 0.0})).await;
    // Nobody asks again.
    booked.becomes("BookingApproved").await;
    let log = Log::read(&postgres).await;
    let approved = log.0.iter().find(|entry| entry.event_type == "PaymentApproved").unwrap();
    assert!(approved.metadata.contains("request:webhook-"), "found out otherwise: {}", approved.metadata);
    assert_eq!(assert_books_agree(&system).await, (PRICE, 0));
    all_heeded(&postgres).await;
    assert_eq!(kept(&postgres).await, (1, 1));
}

#[tokio::test]
async fn a_refund_made_at_the_provider_cancels_the_booking_and_frees_its_tickets() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let booked = Booked::at(&system).await.paid().await;
    booked.fan.tickets_become(&booked.concert, [10, 0, 1, 9]).await;
    system.provider().set_faults(json!({"duplicateWebhooks": 2})).await;
    booked.refunded_at(&system).await;
    booked.becomes("BookingCanceled").await;
    booked.fan.tickets_become(&booked.concert, [10, 0, 0, 10]).await;
    assert_eq!(assert_books_agree(&system).await, (PRICE, PRICE), "and nothing is given back twice");
    let reasons: Vec<_> = Log::read(&postgres)
        .await
        .0
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Booking(BookingEvent::BookingCanceled { reason, .. }) => Some(reason),
            Event::Booking(_) | Event::Concert(_) | Event::Payment(_) | Event::User(_) => None,
        })
        .collect();
    assert_eq!(reasons, [CancelReason::RefundedByProvider]);
    all_heeded(&postgres).await;
    let metrics = system.anonymous().get("/metrics").await.ok(200).text;
    for name in ["payment_webhooks_total{taken=\"stored\"}", "payments_refunded_past_us_total 1"] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
}

#[tokio::test]
async fn forged_webhooks_change_nothing() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let (paid, unpaid) = (Booked::at(&system).await.paid().await, Booked::at(&system).await);
    // A try of which the provider has never heard.
    system.provider().set_faults(json!({"down": true})).await;
    unpaid.fan.pay_with(&unpaid.payment, &unpaid.key).await.problem(503, "payment-busy");
    system.provider().set_faults(json!({"down": false})).await;
    let anonymous = system.anonymous();
    for body in [
        paid.told("CANCELED"),
        paid.told("CANCELED"),
        unpaid.told("DONE"),
        webhook(&json!({"orderId": Uuid::now_v7(), "paymentKey": "k", "status": "DONE"})),
        webhook(&json!({"orderId": "somebody-else-s", "paymentKey": "k", "status": "DONE"})),
        json!({"eventType": "METHOD_UPDATED", "createdAt": "2026-01-02T14:46:59", "data": {"status": "ENABLE"}}),
    ] {
        let taken = anonymous.post(PATH, &body).await.ok(200);
        assert_eq!(taken.text, "", "whoever asks learns nothing of whose payment it is");
    }
    // The two that were made up of payments that there are.
    assert_eq!(kept_as(&postgres, "CANCELED").await.0, 1);
    let sql = "SELECT count(*) FROM payment_webhooks WHERE status = 'DONE' AND payment_key = $1";
    let made_up: i64 = sqlx::query_scalar(sql).bind(&unpaid.key).fetch_one(&postgres).await.unwrap();
    assert_eq!(made_up, 1);
    all_heeded(&postgres).await;
    let log = Log::settled(&postgres).await;
    assert_eq!((log.count("BookingCanceled"), log.count("PaymentApproved"), log.count("PaymentCanceled")), (0, 1, 0));
    assert_eq!(assert_books_agree(&system).await, (PRICE, 0));
}

/// Keeps everybody from the office of due payments for as long as its session lives.
async fn vacate_the_office(system: &Boxoffice, postgres: &PgPool) -> PgPool {
    const LOCK: &str = "hashtext('boxoffice'), hashtext('payments')";
    let session = system.postgres().await;
    let mut waiting = session.acquire().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *waiting).await.unwrap();
    let taking = async move {
        sqlx::query(&format!("SELECT pg_advisory_lock({LOCK})")).execute(&mut *waiting).await.unwrap();
        // Not back to the pool, which might close it.
        waiting.leak()
    };
    let taking = tokio::spawn(taking);
    let waits = async || {
        let sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted)";
        sqlx::query_scalar::<_, bool>(sql).bind(pid).fetch_one(postgres).await.unwrap()
    };
    eventually("the office to be waited for", SOON, waits).await;
    let sql = "SELECT pg_terminate_backend(holder.pid) FROM pg_locks AS waiting
               JOIN pg_locks AS holder USING (locktype, classid, objid, objsubid)
               WHERE waiting.pid = $1 AND NOT waiting.granted AND holder.granted AND locktype = 'advisory'";
    sqlx::query(sql).bind(pid).execute(postgres).await.unwrap();
    std::mem::forget(taking.await.unwrap());
    eventually("the holder to notice", SOON, async || system.stderr().contains("no longer elected")).await;
    session
}

#[tokio::test]
async fn a_webhook_stored_by_a_process_that_is_killed_is_heeded_by_the_next() {
    let mut system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let booked = Booked::at(&system).await.paid().await;
    all_heeded(&postgres).await;
    let _office = vacate_the_office(&system, &postgres).await;
    booked.refunded_at(&system).await;
    eventually("the webhook to be stored", SOON, async || kept_as(&postgres, "CANCELED").await == (1, 0)).await;
    let status = booked.fan.get(&format!("/bookings/{}", booked.booking)).await.ok(200).text_at("/status");
    assert_eq!(status, "BookingApproved", "nobody has heeded it");
    system.kill();
    system.start_again().await;
    let booked = Booked { fan: booked.fan.reconnected(), ..booked };
    booked.becomes("BookingCanceled").await;
    assert_eq!(assert_books_agree(&system).await, (PRICE, PRICE));
}

#[tokio::test]
async fn what_cannot_be_stored_is_to_be_sent_again() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let booked = Booked::at(&system).await.paid().await;
    all_heeded(&postgres).await;
    let mut held = postgres.begin().await.unwrap();
    sqlx::query("LOCK TABLE payment_webhooks IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await.unwrap();
    let refused = system.anonymous().post(PATH, &booked.told("CANCELED")).await.problem(503, "overloaded");
    refused.retry_after();
    // Nobody else notices.
    booked.fan.book(&booked.concert, 1).await.ok(201);
    held.rollback().await.unwrap();
    system.anonymous().post(PATH, &booked.told("CANCELED")).await.ok(200);
    assert_eq!(kept_as(&postgres, "CANCELED").await.0, 1);
}

async fn refused(client: &Client, body: &Value, field: &str) {
    let answer: Answer = client.post(PATH, body).await.problem(422, "invalid-request");
    assert_eq!(answer.text_at("/field"), field, "{body}");
    assert!(answer.text_at("/detail").contains(field), "{}", answer.text);
}

#[tokio::test]
async fn what_no_provider_sends_is_refused_by_its_name() {
    let system = Boxoffice::start().await;
    let anonymous = system.anonymous();
    let right = webhook(&json!({"orderId": Uuid::now_v7(), "paymentKey": "k", "status": "DONE"}));
    anonymous.post(PATH, &right).await.ok(200);
    let with = |pointer: &str, value: Value| {
        let mut body = right.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    refused(&anonymous, &with("/eventType", json!(7)), "eventType").await;
    refused(&anonymous, &with("/createdAt", json!(null)), "createdAt").await;
    refused(&anonymous, &with("/data", json!("text")), "data").await;
    refused(&anonymous, &with("/data/orderId", json!(7)), "data.orderId").await;
    refused(&anonymous, &with("/data/paymentKey", json!("k".repeat(201))), "data.paymentKey").await;
    refused(&anonymous, &with("/data/status", json!("\u{0}")), "data.status").await;
    // The one event that has no type: we have no virtual accounts.
    let deposit = json!({"createdAt": "2022-01-01T00:00:00.000000", "secret": "s", "status": "DONE", "orderId": "o"});
    refused(&anonymous, &deposit, "eventType").await;
    for body in ["{", "nonsense", "{'a': 1}", "eventType=PAYMENT_STATUS_CHANGED"] {
        let request = anonymous.request(Method::POST, PATH).header("Content-Type", "application/json").body(body);
        anonymous.send(request).await.problem(400, "malformed-json");
    }
    let large = with("/data/status", json!("x".repeat(64 * 1024)));
    anonymous.post(PATH, &large).await.problem(413, "body-too-large");
    assert_eq!(kept(&system.postgres().await).await, (0, 0));
    let document = anonymous.get("/openapi.json").await.ok(200);
    assert!(document.body["paths"][PATH]["post"].is_object(), "it is documented");
}

#[tokio::test]
async fn the_simulator_by_itself_tells_whom_it_is_told_to() {
    let shop = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", shop.local_addr().unwrap());
    let provider = Provider::start(&["--webhook-url", &url]).await;
    let client = Client::new(provider.url());
    let confirm = client.request(Method::POST, "/v1/payments/confirm").basic_auth("a-key", Some(""));
    let body = json!({"paymentKey": "a-payment", "orderId": "an-order", "amount": PRICE});
    client.send(confirm.json(&body)).await.ok(200);
    let (mut stream, _) = timeout(SOON, shop.accept()).await.expect("a webhook").unwrap();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("an-order") {
        let read = timeout(SOON, stream.read_buf(&mut heard)).await.expect("the rest of it").unwrap();
        assert!(read > 0, "it ended early: {}", String::from_utf8_lossy(&heard));
    }
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.starts_with("POST /hook ") && heard.contains("PAYMENT_STATUS_CHANGED"), "{heard}");
}
