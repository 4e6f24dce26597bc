//! What is somebody else's, and what is not there.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use uuid::Uuid;

use super::{Case, World};
use crate::support::{Client, PASSWORD, concert_of};

#[tokio::test]
async fn nobody_gets_what_is_not_theirs() {
    let world = World::start().await;
    let World { anonymous, fan, other, concert, booking, payment, .. } = &world;
    let booking_path = format!("/bookings/{booking}");
    let payment_path = format!("/payments/{payment}");
    let approve_path = format!("/payments/{payment}/approve");
    let user_path = format!("/users/{}", fan.id);
    let histories_path = format!("/bookingHistories/{}", fan.id);
    let body = json!({"concertId": concert, "qty": 1});
    let protected = [
        (Method::POST, "/bookings"),
        (Method::GET, &booking_path),
        (Method::DELETE, &booking_path),
        (Method::GET, &payment_path),
        (Method::POST, &approve_path),
        (Method::GET, &user_path),
        (Method::DELETE, &user_path),
        (Method::GET, "/bookingHistories"),
        (Method::GET, &histories_path),
        (Method::POST, "/concerts"),
    ];
    let with_body = |request: RequestBuilder, method: &Method| {
        if *method == Method::POST { request.json(&body) } else { request }
    };
    let mut cases = Vec::new();
    let forged = format!("{}x", fan.token());
    // A token that says it needs no signature: {"alg":"none"}.
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", fan.token().split('.').nth(1).unwrap_or_default());
    for (method, path) in &protected {
        let request = |client: &Client| with_body(client.request(method.clone(), path), method);
        let case = |what: &str, request| Case::new(format!("{method} {path} {what}"), request, 401, "unauthenticated");
        cases.push(case("without a token", request(anonymous)));
        cases.push(case("with nonsense for a token", request(&anonymous.with_token("nonsense"))));
        cases.push(case("with a changed token", request(&anonymous.with_token(&forged))));
        cases.push(case("with an unsigned token", request(&anonymous.with_token(&unsigned))));
        let basic = with_body(anonymous.request(method.clone(), path), method).basic_auth(&fan.email, Some(PASSWORD));
        cases.push(case("with Basic", basic));
    }
    let approve = other.request(Method::POST, &approve_path).json(&json!({}));
    let forbidden = [
        ("another's booking", other.request(Method::GET, &booking_path)),
        ("cancelling another's booking", other.request(Method::DELETE, &booking_path)),
        ("another's payment", other.request(Method::GET, &payment_path)),
        ("paying another's payment", approve),
        ("another user", other.request(Method::GET, &user_path)),
        ("erasing another user", other.request(Method::DELETE, &user_path)),
        ("another's histories", other.request(Method::GET, &histories_path)),
        (
            "booking for another",
            other.request(Method::POST, "/bookings").json(&json!({"concertId": concert, "qty": 1, "userId": fan.id})),
        ),
        ("a concert of a fan's", fan.request(Method::POST, "/concerts").json(&concert_of(10))),
        (
            "a fan changing a concert",
            fan.request(Method::PATCH, &format!("/concerts/{concert}")).json(&json!({"ticketQty": 20})),
        ),
    ];
    cases.extend(forbidden.into_iter().map(|(what, request)| Case::new(what, request, 403, "forbidden")));
    world.refuses(cases).await;
    // What is refused to others is there for those whose it is.
    fan.get(&booking_path).await.ok(200);
    fan.get(&histories_path).await.ok(200);
    let refused = anonymous.get(&booking_path).await.problem(401, "unauthenticated");
    assert!(refused.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Bearer")));
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let world = World::start().await;
    let World { organizer, fan, anonymous, .. } = &world;
    let unknown = Uuid::now_v7().to_string();
    let mut cases = Vec::new();
    for id in [unknown.as_str(), "not-an-id", "1", "%00", "..%2f..%2fetc"] {
        let cases_of_id = [
            fan.request(Method::GET, &format!("/bookings/{id}")),
            fan.request(Method::DELETE, &format!("/bookings/{id}")),
            fan.request(Method::GET, &format!("/payments/{id}")),
            fan.request(Method::POST, &format!("/payments/{id}/approve")).json(&json!({})),
            anonymous.request(Method::GET, &format!("/concerts/{id}")),
            anonymous.request(Method::GET, &format!("/concerts/{id}/tickets/live")),
            organizer.request(Method::PATCH, &format!("/concerts/{id}")).json(&json!({"ticketQty": 5})),
        ];
        let not_found = |request| Case::new(format!("the id {id}"), request, 404, "not-found");
        cases.extend(cases_of_id.into_iter().map(not_found));
    }
    let booking = fan.request(Method::POST, "/bookings").json(&json!({"concertId": unknown, "qty": 1}));
    cases.push(Case::new("booking an unknown concert", booking, 404, "not-found"));
    for path in ["/nowhere", "/concerts/1/2/3", "/bookings/1/2", "/Concerts"] {
        cases.push(Case::new(path, anonymous.request(Method::GET, path), 404, "not-found"));
    }
    for (method, path) in [
        (Method::PUT, "/bookings".to_owned()),
        (Method::DELETE, "/concerts".to_owned()),
        (Method::POST, format!("/concerts/{}", world.concert)),
        (Method::PATCH, "/users".to_owned()),
        (Method::POST, "/livez".to_owned()),
    ] {
        let request = fan.request(method.clone(), &path);
        cases.push(Case::new(format!("{method} {path}"), request, 405, "method-not-allowed"));
    }
    world.refuses(cases).await;
    let refused = fan.send(fan.request(Method::PUT, "/bookings")).await.problem(405, "method-not-allowed");
    assert!(refused.header("allow").is_some_and(|methods| methods.contains("POST")), "{:?}", refused.headers);
}
