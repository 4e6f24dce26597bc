//! `Idempotency-Key`: the same key and body, the same answer and one effect.

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Boxoffice, Client, Log, PASSWORD, PRICE, concert_of};

/// How many send the same at once.
const AT_ONCE: usize = 20;

/// Sends the same under one key, once, then many times at once, then once again; every answer is the same.
async fn always_the_same(client: &Client, path: &str, body: &Value, status: u16) -> Answer {
    let key = Uuid::new_v4().to_string();
    let mut answers = join_all((0..AT_ONCE).map(|_| client.post_patiently(path, &key, body))).await;
    answers.push(client.post_patiently(path, &key, body).await);
    let first = answers.remove(0).ok(status);
    for answer in answers {
        assert_eq!(answer.ok(status).body, first.body, "{path}");
    }
    first
}

#[tokio::test]
async fn a_booking_sent_again_under_its_key_is_one_booking() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(100).await;
    let (fan, other) = (system.fan().await, system.fan().await);
    let body = json!({"concertId": concert, "qty": 2});
    let booked = always_the_same(&fan, "/bookings", &body, 201).await;
    let log = Log::settled(&system.postgres().await).await;
    assert_eq!((log.count("BookingRequested"), log.count("TicketsHeld"), log.count("PaymentRequested")), (1, 1, 1));
    assert_eq!(log.names_of(&booked.text_at("/bookingId")), ["BookingRequested"]);

    // Another key, no key, and another fan with the same key, are other bookings.
    let key = "the same for both";
    let ids = [
        fan.post_once("/bookings", key, &body).await.ok(201).text_at("/bookingId"),
        other.post_once("/bookings", key, &body).await.ok(201).text_at("/bookingId"),
        fan.post("/bookings", &body).await.ok(201).text_at("/bookingId"),
        fan.post("/bookings", &body).await.ok(201).text_at("/bookingId"),
        booked.text_at("/bookingId"),
    ];
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    let other_body = json!({"concertId": concert, "qty": 3});
    fan.post_once("/bookings", key, &other_body).await.problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn a_refusal_sent_again_under_its_key_is_the_same_refusal() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(1).await;
    let fan = system.fan().await;
    let body = json!({"concertId": concert, "qty": 2});
    fan.post_once("/bookings", "k", &body).await.problem(409, "sold-out");
    fan.post_once("/bookings", "k", &body).await.problem(409, "sold-out");
    let log = Log::settled(&system.postgres().await).await;
    assert_eq!((log.count("BookingRequested"), log.count("BookingRejected")), (1, 1));
}

#[tokio::test]
async fn a_concert_sent_again_under_its_key_is_one_concert() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let registered = always_the_same(&organizer, "/concerts", &concert_of(10), 201).await;
    let log = Log::read(&system.postgres().await).await;
    assert_eq!(log.count("ConcertRegistered"), 1);
    let listed = system.anonymous().get_at("/concerts", registered.position()).await.ok(200);
    assert_eq!(listed.body.as_array().unwrap().len(), 1);
    organizer.post_once("/concerts", "k", &concert_of(10)).await.ok(201);
    organizer.post_once("/concerts", "k", &concert_of(11)).await.problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn a_sign_up_sent_again_under_its_key_is_one_user() {
    let system = Boxoffice::start().await;
    let anonymous = system.anonymous();
    let before = Log::read(&system.postgres().await).await.count("UserRegistered");
    let body = json!({"name": "Somebody", "email": "somebody@example.org", "password": PASSWORD});
    always_the_same(&anonymous, "/users", &body, 201).await;
    assert_eq!(Log::read(&system.postgres().await).await.count("UserRegistered"), before + 1);
    anonymous.post("/users", &body).await.problem(409, "email-taken");
    let other = json!({"name": "Somebody", "email": "else@example.org", "password": PASSWORD});
    anonymous.post_once("/users", "k", &other).await.ok(201);
    anonymous.post_once("/users", "k", &body).await.problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn a_payment_sent_again_under_its_key_is_one_charge() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let payment = fan.book(&concert, 1).await.ok(201).text_at("/paymentId");
    let path = format!("/payments/{payment}/approve");
    let paid = always_the_same(&fan, &path, &json!({"paymentKey": "a-key-of-the-provider"}), 200).await;
    assert_eq!(paid.text_at("/status"), "PaymentApproved");
    let names = Log::settled(&system.postgres().await).await;
    assert_eq!(names.names_of(&payment), ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
    let provider = system.provider();
    assert_eq!(provider.get("/_sim").await.ok(200).number_at("/charged"), PRICE);

    let declined = fan.book(&concert, 1).await.ok(201).text_at("/paymentId");
    let path = format!("/payments/{declined}/approve");
    fan.post_once(&path, "k", &json!({"paymentKey": "decline"})).await.problem(402, "payment-declined");
    fan.post_once(&path, "k", &json!({"paymentKey": "decline"})).await.problem(402, "payment-declined");
    fan.post_once(&path, "k", &json!({"paymentKey": "other"})).await.problem(422, "idempotency-key-reused");
    let log = Log::settled(&system.postgres().await).await;
    assert_eq!(log.names_of(&declined), ["PaymentRequested", "PaymentAttempted", "PaymentDeclined"]);
}

#[tokio::test]
async fn a_key_keeps_its_meaning_over_a_restart() {
    let mut system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let body = json!({"concertId": concert, "qty": 1});
    let before = fan.post_once("/bookings", "k", &body).await.ok(201);
    system.kill();
    system.start_again().await;
    let fan = fan.reconnected();
    assert_eq!(fan.post_once("/bookings", "k", &body).await.ok(201).body, before.body);
    let other = json!({"concertId": concert, "qty": 2});
    fan.post_once("/bookings", "k", &other).await.problem(422, "idempotency-key-reused");
}
