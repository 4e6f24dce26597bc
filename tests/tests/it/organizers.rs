//! An organizer sees and does what is at its own concerts, and at no other organizer's.

use reqwest::Method;
use serde_json::json;

use crate::support::{Boxoffice, Client, Fan, Log, PASSWORD, PRICE, assert_books_agree};

/// One more organizer. There is no request that makes one: an operator does.
async fn another_organizer(system: &Boxoffice) -> Client {
    let somebody = system.fan().await;
    let postgres = system.postgres().await;
    let id: uuid::Uuid = somebody.id.parse().unwrap();
    let made = sqlx::query("UPDATE credentials SET role = 'organizer' WHERE user_id = $1").bind(id);
    assert_eq!(made.execute(&postgres).await.unwrap().rows_affected(), 1);
    let signed_in = system.anonymous().sign_in(&somebody.email, PASSWORD).await.ok(200);
    assert_eq!(signed_in.text_at("/role"), "organizer");
    signed_in.token_client(&system.anonymous())
}

async fn book_for(organizer: &Client, fan: &Fan, concert: &str) -> crate::support::Answer {
    let request = organizer.request(Method::POST, "/bookings");
    organizer.send(request.json(&json!({"concertId": concert, "qty": 1, "userId": fan.id}))).await
}

#[tokio::test]
async fn the_bookings_of_a_concert_are_no_other_organizer_s_business() {
    let system = Boxoffice::start().await;
    let (organizer, other, fan) = (system.organizer().await, another_organizer(&system).await, system.fan().await);
    let concert = organizer.register_concert(10).await;
    let booked = fan.book(&concert, 2).await.ok(201);
    let (booking, payment) = (booked.text_at("/bookingId"), booked.text_at("/paymentId"));
    let position = Log::read(&system.postgres().await).await.last();

    other.get(&format!("/bookings/{booking}")).await.problem(403, "forbidden");
    other.delete(&format!("/bookings/{booking}")).await.problem(403, "forbidden");
    other.get(&format!("/payments/{payment}")).await.problem(403, "forbidden");
    other.post(&format!("/payments/{payment}/approve"), &json!({})).await.problem(403, "forbidden");
    book_for(&other, &fan, &concert).await.problem(403, "forbidden");
    assert_eq!(Log::settled(&system.postgres().await).await.last(), position, "nothing has come of it");

    organizer.get(&format!("/payments/{payment}")).await.ok(200);
    assert_eq!(organizer.get(&format!("/bookings/{booking}")).await.ok(200).text_at("/status"), "BookingRequested");
    book_for(&organizer, &fan, &concert).await.ok(201);
}

#[tokio::test]
async fn the_organizer_of_a_concert_cancels_a_booking_of_it_before_and_after_it_is_paid() {
    let system = Boxoffice::start().await;
    let (organizer, fan) = (system.organizer().await, system.fan().await);
    let concert = organizer.register_concert(10).await;
    for is_paid in [false, true] {
        let booked = fan.book(&concert, 1).await.ok(201);
        if is_paid {
            fan.pays(&booked.text_at("/paymentId")).await;
        }
        let path = format!("/bookings/{}", booked.text_at("/bookingId"));
        for _ in 0..2 {
            assert_eq!(organizer.delete(&path).await.ok(200).text_at("/status"), "BookingCanceled");
        }
        fan.tickets_become(&concert, [10, 0, 0, 10]).await;
        assert_eq!(fan.get(&path).await.ok(200).text_at("/paymentStatus"), "PaymentCanceled");
    }
    assert_eq!(assert_books_agree(&system).await, (PRICE, PRICE));
    let postgres = system.postgres().await;
    let reasons: Vec<String> = sqlx::query_scalar(
        "SELECT payload -> 'BookingCanceled' ->> 'reason' FROM events WHERE event_type = 'BookingCanceled'",
    )
    .fetch_all(&postgres)
    .await
    .unwrap();
    assert_eq!(reasons, ["ByOrganizer", "ByOrganizer"]);
}
