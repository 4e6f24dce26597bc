//! Waiting for what is on its way, or not waiting: `Prefer`, `Boxoffice-Position` and `Boxoffice-Min-Position`.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::{Boxoffice, Log, SOON, eventually};

/// The longest that a read waits for its view; far above what it should take, far below a client's patience.
const WAIT_MAX: Duration = Duration::from_secs(20);

#[tokio::test]
async fn who_does_not_wait_is_told_where_to_look() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let request = fan.request(Method::POST, "/bookings").header("Prefer", "respond-async");
    let accepted = fan.send(request.json(&json!({"concertId": concert, "qty": 2}))).await.ok(202);
    let location = accepted.header("location").expect("where to look").to_owned();
    let path = location.strip_prefix(system.setting("BOXOFFICE_URL")).unwrap_or(&location).to_owned();
    assert_eq!(path, format!("/bookings/{}", accepted.text_at("/bookingId")));
    assert_eq!(accepted.text_at("/status"), "BookingRequested");
    eventually("the tickets to be held", SOON, || async {
        let booking = fan.get(&path).await.ok(200);
        booking.body["paymentStatus"] == "PaymentRequested" && booking.body["expiresAt"].is_string()
    })
    .await;
    let shown = fan.get_at(&format!("/concerts/{concert}"), Log::head(&system.postgres().await).await).await.ok(200);
    assert_eq!(shown.tickets(), [10, 2, 0, 8]);
    // A payment's id is known before the payment exists.
    fan.pays(&accepted.text_at("/paymentId")).await;
}

#[tokio::test]
async fn everybody_reads_their_own_writes() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let fan = system.fan().await;
    for n in 1..=10_u64 {
        let registered = organizer.post("/concerts", &crate::support::concert_of(100)).await.ok(201);
        let concert = registered.text_at("/id");
        let path = format!("/concerts/{concert}");
        organizer.get_at(&path, registered.position()).await.ok(200);

        let booked = fan.book(&concert, n).await.ok(201);
        let position = booked.position();
        let booking = booked.text_at("/bookingId");
        assert_eq!(fan.get_at(&path, position).await.ok(200).tickets(), [100, n, 0, 100 - n]);
        let shown = fan.get_at(&format!("/bookings/{booking}"), position).await.ok(200);
        assert_eq!((shown.text_at("/paymentStatus").as_str(), shown.number_at("/qty")), ("PaymentRequested", n));
        assert_eq!(fan.histories_at(position).await[0]["bookingId"], *booking);

        let paid = fan.pays(&booked.text_at("/paymentId")).await;
        fan.get_at(&format!("/payments/{}", booked.text_at("/paymentId")), paid.position()).await.ok(200);
        let status = fan.histories_at(paid.position()).await[0]["status"].clone();
        assert!(status == "PaymentApproved" || status == "BookingApproved", "{status}");

        let canceled = fan.cancel(&booking).await.ok(200);
        let status = fan.histories_at(canceled.position()).await[0]["status"].clone();
        assert!(status == "BookingCanceled" || status == "PaymentCanceled", "{status}");
        assert!(
            registered.position() < position && position < paid.position() && paid.position() < canceled.position()
        );
    }
}

#[tokio::test]
async fn a_position_that_is_not_there_yet_is_waited_for_but_not_for_ever() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 1).await.ok(201);
    let far = booked.position() + 1_000_000;
    let paths = [
        "/concerts".to_owned(),
        format!("/concerts/{concert}"),
        format!("/bookings/{}", booked.text_at("/bookingId")),
        format!("/payments/{}", booked.text_at("/paymentId")),
        "/bookingHistories".to_owned(),
        format!("/bookingHistories/{}", fan.id),
    ];
    let start = Instant::now();
    let answers = futures::future::join_all(paths.iter().map(|path| fan.get_at(path, far))).await;
    assert!(start.elapsed() < WAIT_MAX, "{:?}", start.elapsed());
    for answer in answers {
        answer.problem(503, "view-behind").retry_after();
    }
}
