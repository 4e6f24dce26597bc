//! A concert is called off: every booking of it ends, and all money goes back, whatever is killed meanwhile.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{Boxoffice, Fan, Log, PRICE, SOON, assert_books_agree, assert_mirrored, eventually, scale};

/// Requests at once.
const AT_ONCE: usize = 16;
/// Bookings of more than one round of the background's work, where the environment does not say.
const MANY: usize = 260;
/// How long the cancellation of one of them, and the way back of its money, may take, many being under way at once. Besides
/// there is [`SOON`].
const EACH_MAX: Duration = Duration::from_millis(25);

/// Books a ticket each time, and pays every other one; the ids of the bookings.
async fn book_and_pay(fan: &Fan, concert: &str, count: usize) -> Vec<String> {
    let visit = |n: usize| async move {
        let booked = fan.book(concert, 1).await.ok(201);
        if n.is_multiple_of(2) {
            fan.pays(&booked.text_at("/paymentId")).await;
        }
        booked.text_at("/bookingId")
    };
    stream::iter(0..count).map(visit).buffer_unordered(AT_ONCE).collect().await
}

#[tokio::test]
async fn every_booking_ends_and_all_money_goes_back() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let (concert, other) = (organizer.register_concert(20).await, organizer.register_concert(20).await);
    let fan = system.fan().await;
    let bookings = book_and_pay(&fan, &concert, 6).await;
    let untouched = book_and_pay(&fan, &other, 2).await;
    let path = format!("/concerts/{concert}");

    // Not by a fan, not by nobody, and not what is not there.
    fan.delete(&path).await.problem(403, "forbidden");
    system.anonymous().delete(&path).await.problem(401, "unauthenticated");
    organizer.delete(&format!("/concerts/{}", uuid::Uuid::now_v7())).await.problem(404, "not-found");
    organizer.delete("/concerts/1").await.problem(404, "not-found");

    let called_off = organizer.delete(&path).await.ok(200);
    assert_eq!(called_off.body["canceled"], true, "{}", called_off.text);
    let again = organizer.delete(&path).await.ok(200);
    assert_eq!(again.body["canceled"], true);
    // Who reads at its position sees it, and nobody can book any more.
    let seen = fan.get_at(&path, called_off.position()).await.ok(200);
    assert_eq!(seen.body["canceled"], true);
    fan.book(&concert, 1).await.problem(409, "concert-canceled");

    fan.tickets_become(&concert, [20, 0, 0, 20]).await;
    fan.tickets_become(&other, [20, 1, 1, 18]).await;
    for booking in &bookings {
        let booking = fan.get(&format!("/bookings/{booking}")).await.ok(200);
        assert_eq!(booking.text_at("/status"), "BookingCanceled");
        assert_eq!(booking.text_at("/paymentStatus"), "PaymentCanceled");
        fan.pay(&booking.text_at("/paymentId")).await.problem(409, "payment-not-payable");
        // Cancelling what is cancelled changes nothing.
        fan.cancel(&booking.text_at("/bookingId")).await.ok(200);
    }
    assert_eq!(assert_books_agree(&system).await, (4 * PRICE, 3 * PRICE));
    let log = Log::read(&system.postgres().await).await;
    assert_eq!(log.count("BookingCanceled"), bookings.len());
    let histories = fan.histories_at(log.last()).await;
    let ended = histories.iter().filter(|booking| booking["status"] == "PaymentCanceled").count();
    assert_eq!((histories.len(), ended), (bookings.len() + untouched.len(), bookings.len()));
}

/// How often this has happened, without reading all of a long log.
async fn count(pool: &PgPool, event_type: &str) -> usize {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE event_type = $1")
        .bind(event_type)
        .fetch_one(pool)
        .await
        .unwrap();
    usize::try_from(count).unwrap()
}

#[tokio::test]
async fn killed_in_the_middle_it_is_done_after_the_restart() {
    let many = scale("BOXOFFICE_CANCELED_BOOKINGS", MANY);
    let patience = SOON + EACH_MAX * u32::try_from(many).unwrap();
    let mut system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let capacity = many as u64 + 1_000;
    let concert = organizer.register_concert(capacity).await;
    let fan = system.fan().await;
    book_and_pay(&fan, &concert, many).await;
    organizer.delete(&format!("/concerts/{concert}")).await.ok(200);
    // In its first round, in the middle, and when only money is on its way.
    for killed_after in [1, many / 2, many] {
        let postgres = system.postgres().await;
        let canceled = async || count(&postgres, "BookingCanceled").await >= killed_after;
        eventually("bookings to be cancelled", patience, canceled).await;
        system.kill();
        system.start_again().await;
    }
    let (fan, path) = (fan.reconnected(), format!("/concerts/{concert}"));
    let all_free = [capacity, 0, 0, capacity];
    eventually("all tickets to be free", patience, async || fan.get(&path).await.ok(200).tickets() == all_free).await;
    let postgres = system.postgres().await;
    let log = Log::settled(&postgres).await;
    assert_eq!(log.count("BookingCanceled"), many);
    let paid = PRICE * (many as u64).div_ceil(2);
    assert_eq!(assert_books_agree(&system).await, (paid, paid));
    assert_mirrored(&system, &postgres).await;
}

#[tokio::test]
async fn while_the_provider_is_down_refunds_wait_and_then_go_through() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let concert = organizer.register_concert(20).await;
    let fan = system.fan().await;
    book_and_pay(&fan, &concert, 4).await;
    let provider = system.provider();
    provider.set_faults(json!({"down": true})).await;
    organizer.delete(&format!("/concerts/{concert}")).await.ok(200);
    // Who has not paid is free at once; who has keeps the tickets until the money is back.
    fan.tickets_become(&concert, [20, 0, 2, 18]).await;
    provider.set_faults(json!({"down": false})).await;
    fan.tickets_become(&concert, [20, 0, 0, 20]).await;
    assert_eq!(assert_books_agree(&system).await, (2 * PRICE, 2 * PRICE));
}
