//! A booking all the way, and an on-sale with more fans than tickets.

use futures::future::join_all;
use serde_json::Value;

use crate::support::{Answer, Boxoffice, Fan, Log, PRICE, SOON, assert_mirrored, eventually};

/// Tickets of the concert that everybody wants.
const TICKETS: u64 = 100;
/// Fans who each want one.
const FANS: usize = 300;

/// Waits until the fan's newest history says this.
async fn history_becomes(fan: &Fan, status: &str) {
    eventually(&format!("the history to say {status}"), SOON, || async {
        fan.histories_at(0).await.first().is_some_and(|newest| newest["status"] == status)
    })
    .await;
}

fn is_held(booking: &Answer, concert: &str, fan: &Fan, qty: u64) {
    assert_eq!(booking.text_at("/status"), "BookingRequested");
    assert_eq!(booking.text_at("/paymentStatus"), "PaymentRequested");
    assert_eq!((booking.text_at("/concertId").as_str(), booking.text_at("/userId").as_str()), (concert, &*fan.id));
    assert_eq!(booking.number_at("/qty"), qty);
    assert_eq!(booking.number_at("/amount/amount"), PRICE * qty);
    assert_eq!(booking.text_at("/amount/currency"), "KRW");
    let expires_at: chrono::DateTime<chrono::Utc> = booking.text_at("/expiresAt").parse().unwrap();
    assert!(expires_at > chrono::Utc::now());
    assert!(booking.text_at("/expiresAt").ends_with('Z'), "times are UTC");
}

#[tokio::test]
async fn of_300_concurrent_buyers_of_100_tickets_exactly_100_get_one() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let fans = system.fans(FANS).await;

    let answers = join_all(fans.iter().map(|fan| fan.book(&concert, 1))).await;
    let (held, refused): (Vec<_>, Vec<_>) = fans.iter().zip(answers).partition(|(_, answer)| answer.is_success());
    assert_eq!(held.len() as u64, TICKETS, "{:?}", refused.first().map(|(_, answer)| answer));
    for (fan, answer) in &held {
        is_held(&answer.clone().ok(201), &concert, fan, 1);
    }
    for (fan, answer) in refused {
        let position = answer.problem(409, "sold-out").position();
        assert_eq!(fan.histories_at(position).await[0]["status"], "BookingRejected");
    }
    let position = held.iter().map(|(_, answer)| answer.position()).max().unwrap();
    let seen = system.anonymous().get_at(&format!("/concerts/{concert}"), position).await.ok(200);
    assert_eq!(seen.tickets(), [TICKETS, TICKETS, 0, 0]);

    // Ten pay, five of them think better of it, and five others before they have paid.
    let (payers, others) = held.split_at(10);
    let paid =
        join_all(payers.iter().map(|(fan, booking)| async move { fan.pays(&booking.text_at("/paymentId")).await }));
    for answer in paid.await {
        assert_eq!(answer.ok(200).text_at("/status"), "PaymentApproved");
    }
    payers[0].0.tickets_become(&concert, [TICKETS, TICKETS - 10, 10, 0]).await;
    let leaving = payers[..5].iter().chain(&others[..5]);
    for answer in
        join_all(leaving.map(|(fan, booking)| async move { fan.cancel(&booking.text_at("/bookingId")).await })).await
    {
        assert_eq!(answer.ok(200).text_at("/status"), "BookingCanceled");
    }
    payers[0].0.tickets_become(&concert, [TICKETS, TICKETS - 15, 5, 10]).await;

    let log = Log::settled(&postgres).await;
    assert_eq!(log.fold().tickets(&concert), [TICKETS, TICKETS - 15, 5, 10]);
    assert_eq!(log.count("TicketsHeld") as u64, TICKETS);
    assert_eq!(log.count("BookingRejected"), FANS - usize::try_from(TICKETS).unwrap());
    assert_mirrored(&system, &postgres).await;
}

#[tokio::test]
async fn a_booking_is_held_paid_approved_and_cancelled_with_its_money_back() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;

    let booked = fan.book(&concert, 3).await.ok(201);
    is_held(&booked, &concert, &fan, 3);
    let (booking, payment) = (booked.text_at("/bookingId"), booked.text_at("/paymentId"));
    fan.tickets_become(&concert, [10, 3, 0, 7]).await;
    let shown = fan.get(&format!("/payments/{payment}")).await.ok(200);
    assert_eq!((shown.text_at("/paymentId"), shown.text_at("/bookingId")), (payment.clone(), booking.clone()));
    assert_eq!((shown.text_at("/status").as_str(), shown.number_at("/amount/amount")), ("PaymentRequested", 3 * PRICE));

    let paid = fan.pays(&payment).await;
    assert_eq!((paid.text_at("/status"), paid.text_at("/paymentId")), ("PaymentApproved".to_owned(), payment.clone()));
    fan.tickets_become(&concert, [10, 0, 3, 7]).await;
    let approved = fan.get(&format!("/bookings/{booking}")).await.ok(200);
    assert_eq!(approved.text_at("/status"), "BookingApproved");
    assert_eq!(approved.text_at("/paymentStatus"), "PaymentApproved");
    history_becomes(&fan, "BookingApproved").await;

    let canceled = fan.cancel(&booking).await.ok(200);
    assert_eq!(
        (canceled.text_at("/status").as_str(), canceled.text_at("/bookingId")),
        ("BookingCanceled", booking.clone())
    );
    fan.tickets_become(&concert, [10, 0, 0, 10]).await;
    history_becomes(&fan, "PaymentCanceled").await;
    let head = Log::settled(&postgres).await.last();

    let again = fan.cancel(&booking).await.ok(200);
    assert_eq!(again.text_at("/status"), "BookingCanceled");
    assert_eq!(again.text_at("/paymentStatus"), "PaymentCanceled");
    fan.pay(&payment).await.problem(409, "payment-not-payable");
    assert_eq!(Log::head(&postgres).await, head, "cancelling or paying what has ended changes nothing");
    let log = Log::settled(&postgres).await;
    assert_eq!(log.names_of(&booking), ["BookingRequested", "BookingApproved", "BookingCanceled"]);
    let payment_names = log.names_of(&payment);
    let refunded =
        ["PaymentRequested", "PaymentAttempted", "PaymentApproved", "PaymentCancelRequested", "PaymentCanceled"];
    assert_eq!(payment_names, refunded);
}

#[tokio::test]
async fn a_declined_payment_may_be_tried_again_while_the_tickets_are_held() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 1).await.ok(201);
    let payment = booked.text_at("/paymentId");

    fan.pay_with(&payment, "decline-1").await.problem(402, "payment-declined").position();
    fan.pay_with(&payment, "decline-2").await.problem(402, "payment-declined");
    let booking = fan.get(&format!("/bookings/{}", booked.text_at("/bookingId"))).await.ok(200);
    assert_eq!(booking.text_at("/status"), "BookingRequested");
    fan.tickets_become(&concert, [10, 1, 0, 9]).await;
    assert_eq!(fan.pays(&payment).await.text_at("/status"), "PaymentApproved");
    fan.tickets_become(&concert, [10, 0, 1, 9]).await;
}

#[tokio::test]
async fn a_booking_asks_for_no_more_than_is_left_or_allowed() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let fan = system.fan().await;
    let mut terms = crate::support::concert_of(5);
    terms["maxPerBooking"] = 4.into();
    let concert = organizer.post("/concerts", &terms).await.ok(201).text_at("/id");
    fan.book(&concert, 5).await.problem(422, "invalid-request");
    fan.book(&concert, 3).await.ok(201);
    fan.book(&concert, 3).await.problem(409, "sold-out");
    fan.book(&concert, 2).await.ok(201);

    // The organizer finds more seats; never fewer than are taken.
    let path = format!("/concerts/{concert}");
    let change = |qty: u64| {
        let body = serde_json::json!({"ticketQty": qty});
        organizer.send(organizer.request(reqwest::Method::PATCH, &path).json(&body))
    };
    let refused = change(4).await;
    assert_eq!((refused.status, refused.header("content-type")), (409, Some("application/problem+json")));
    let changed = change(6).await.ok(200);
    let position = changed.position();
    let seen = fan.get_at(&path, position).await.ok(200);
    assert_eq!(seen.tickets(), [6, 5, 0, 1]);
    fan.book(&concert, 1).await.ok(201);
}

#[tokio::test]
async fn concerts_and_histories_are_listed_newest_first_in_pages() {
    let system = Boxoffice::start().await;
    let organizer = system.organizer().await;
    let fan = system.fan().await;
    let mut concerts = Vec::new();
    let mut position = 0;
    for tickets in 1..=5 {
        concerts.push(organizer.register_concert(tickets).await);
        position = fan.book(concerts.last().unwrap(), 1).await.ok(201).position();
    }
    let ids = |list: &[Value], field: &str| -> Vec<String> {
        list.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    concerts.reverse();
    let listed = system.anonymous().get_at("/concerts", position).await.ok(200);
    assert_eq!(ids(listed.body.as_array().unwrap(), "id"), concerts);

    let histories = fan.histories_at(position).await;
    assert_eq!(ids(&histories, "concertId"), concerts);
    for history in &histories {
        assert_eq!((&history["userId"], &history["qty"]), (&fan.id.clone().into(), &1.into()));
        assert!(history["bookingId"].is_string() && history["status"].is_string(), "{history}");
    }
    let mut paged = Vec::new();
    let mut before = String::new();
    loop {
        let page = fan.get_at(&format!("/bookingHistories?limit=2{before}"), position).await.ok(200);
        let page = page.body.as_array().unwrap().clone();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        before = format!("&before={}", last["id"]);
        paged.extend(page);
    }
    assert_eq!(paged, histories);
}
