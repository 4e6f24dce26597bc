//! Money: intent before effect, one effect however often it is asked for, and books that agree with the provider's.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use serde_json::json;

use crate::support::{Boxoffice, Log, PRICE, SOON, assert_books_agree, concert_of, eventually};

#[tokio::test]
async fn the_provider_s_books_and_ours_agree() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(100).await;
    let fans = system.fans(6).await;
    let visits = fans.iter().enumerate().flat_map(|(n, fan)| (1..=4).map(move |qty| (n, fan, qty)));
    let visits = visits.map(|(n, fan, qty)| {
        let concert = &concert;
        async move {
            let booked = fan.book(concert, qty).await.ok(201);
            let payment = booked.text_at("/paymentId");
            match n {
                0 => fan.pay_with(&payment, &format!("decline-{payment}")).await.problem(402, "payment-declined"),
                1 => return drop(fan.cancel(&booked.text_at("/bookingId")).await.ok(200)),
                _ => fan.pays(&payment).await,
            };
            if n >= 4 {
                fan.cancel(&booked.text_at("/bookingId")).await.ok(200);
            }
        }
    });
    join_all(visits).await;
    assert_eq!(assert_books_agree(&system).await, (4 * 10 * PRICE, 2 * 10 * PRICE));
}

#[tokio::test]
async fn a_payment_is_charged_once_however_often_and_by_whatever_key_it_is_asked_for() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let payment = fan.book(&concert, 1).await.ok(201).text_at("/paymentId");
    let answers = join_all((0..20).map(|_| fan.pay(&payment))).await;
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        let is_said = [(409, "payment-busy"), (409, "payment-not-payable"), (503, "payment-busy"), (503, "overloaded")];
        assert!(is_said.iter().any(|(status, name)| answer.is_not_problem(*status, name).is_none()), "{answer:?}");
    }
    assert_eq!(fan.pays(&payment).await.text_at("/status"), "PaymentApproved");
    assert_eq!(assert_books_agree(&system).await, (PRICE, 0));
}

#[tokio::test]
async fn the_attempt_is_in_the_log_before_the_provider_is_asked() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let payment = fan.book(&concert, 1).await.ok(201).text_at("/paymentId");
    let provider = system.provider();
    // Long enough to look at the log meanwhile, short enough not to time out.
    provider.set_faults(json!({"latencyMs": [300, 300]})).await;
    let looked = async {
        let asked = async || provider.get("/_sim").await.ok(200).number_at("/calls") > 0;
        eventually("the provider to be asked", SOON, asked).await;
        Log::read(&postgres).await
    };
    let (_, log) = tokio::join!(fan.pays(&payment), looked);
    assert_eq!(log.names_of(&payment)[..2], ["PaymentRequested", "PaymentAttempted"]);
    assert_books_agree(&system).await;
}

#[tokio::test]
async fn while_the_provider_is_down_one_pays_a_little_later() {
    let system = Boxoffice::start().await;
    let postgres = system.postgres().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let provider = system.provider();
    provider.set_faults(json!({"down": true})).await;
    // Booking does not depend on the provider.
    let booked = fan.book(&concert, 1).await.ok(201);
    let payment = booked.text_at("/paymentId");
    let later = fan.pay(&payment).await;
    assert_eq!((later.status, later.header("content-type")), (503, Some("application/problem+json")));
    later.retry_after();
    assert!(Log::read(&postgres).await.names_of(&payment).contains(&"PaymentAttempted"));
    // The hold is kept.
    fan.tickets_become(&concert, [10, 1, 0, 9]).await;
    provider.set_faults(json!({"down": false})).await;
    eventually("the payment to go through", SOON, || async { fan.pay(&payment).await.status == 200 }).await;
    assert_eq!(assert_books_agree(&system).await, (PRICE, 0));
}

#[tokio::test]
async fn a_payment_that_was_put_off_goes_through_later_under_the_same_key() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let payment = fan.book(&concert, 1).await.ok(201).text_at("/paymentId");
    let (path, body) = (format!("/payments/{payment}/approve"), json!({"paymentKey": "a-key"}));
    let provider = system.provider();
    provider.set_faults(json!({"down": true})).await;
    fan.post_once(&path, "k", &body).await.problem(503, "payment-busy").retry_after();
    provider.set_faults(json!({"down": false})).await;
    // Meanwhile the system finds out by itself that nothing was charged.
    Log::settled(&system.postgres().await).await;
    eventually("the payment to go through", SOON, || async { fan.post_once(&path, "k", &body).await.status == 200 })
        .await;
    assert_eq!(assert_books_agree(&system).await, (PRICE, 0));
}

#[tokio::test]
async fn an_answer_that_is_lost_charges_once_and_is_found_out() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let provider = system.provider();
    let booked = fan.book(&concert, 1).await.ok(201);
    provider.set_faults(json!({"loseAnswerRate": 1.0})).await;
    let unknown = fan.pay(&booked.text_at("/paymentId")).await;
    assert_eq!(unknown.status, 503, "{}", unknown.text);
    provider.set_faults(json!({"loseAnswerRate": 0.0})).await;
    // Nobody asks again, and still it comes out.
    let path = format!("/bookings/{}", booked.text_at("/bookingId"));
    eventually("the booking to be approved", SOON, || async {
        fan.get(&path).await.ok(200).text_at("/status") == "BookingApproved"
    })
    .await;
    assert_eq!(assert_books_agree(&system).await, (PRICE, 0));
}

#[tokio::test]
async fn whoever_is_put_off_at_the_last_moment_can_still_pay() {
    let system = Boxoffice::start().await;
    let mut body = concert_of(10);
    body["holdSeconds"] = json!(3);
    let concert = system.organizer().await.post("/concerts", &body).await.ok(201).text_at("/id");
    let fan = system.fan().await;
    let provider = system.provider();
    provider.set_faults(json!({"down": true})).await;
    let booked = fan.book(&concert, 1).await.ok(201);
    let payment = booked.text_at("/paymentId");
    let end: DateTime<Utc> = booked.text_at("/expiresAt").parse().unwrap();
    fan.pay(&payment).await.problem(503, "payment-busy");
    let later = fan.get(&format!("/payments/{payment}")).await.ok(200);
    assert!(later.text_at("/expiresAt").parse::<DateTime<Utc>>().unwrap() > end, "{}", later.text);
    provider.set_faults(json!({"down": false})).await;
    eventually("the first deadline to pass", SOON, async || Utc::now() > end).await;
    assert_eq!(fan.pays(&payment).await.text_at("/status"), "PaymentApproved");
    fan.tickets_become(&concert, [10, 0, 1, 9]).await;
    assert_eq!(assert_books_agree(&system).await, (PRICE, 0));
}

#[tokio::test]
async fn a_provider_always_slower_than_a_buyer_waits_takes_money_and_pays_back_all_the_same() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.book(&concert, 1).await.ok(201);
    let payment = booked.text_at("/paymentId");
    system.provider().set_faults(json!({"latencyMs": [700, 700]})).await;
    fan.pay(&payment).await.problem(503, "payment-busy");
    eventually("the try to be settled", SOON, async || {
        fan.get(&format!("/payments/{payment}")).await.ok(200).text_at("/status") == "PaymentApproved"
    })
    .await;
    fan.cancel(&booked.text_at("/bookingId")).await.ok(200);
    fan.tickets_become(&concert, [10, 0, 0, 10]).await;
    assert_eq!(assert_books_agree(&system).await, (PRICE, PRICE));
}
