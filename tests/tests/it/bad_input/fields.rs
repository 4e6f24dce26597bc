//! Bodies with a field that is wrong, missing or unknown, and bodies that are none.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Case, World, missing_fields, nameless, no_json, too_large, wrong_fields};
use crate::support::{PASSWORD, concert_of};

#[tokio::test]
async fn a_wrong_booking_is_refused_by_the_name_of_what_is_wrong() {
    let world = World::start().await;
    let World { fan, concert, .. } = &world;
    let right = json!({"concertId": concert, "qty": 1});
    let mut cases = wrong_fields(
        fan,
        "/bookings",
        &right,
        &[
            ("qty", json!("1")),
            ("qty", json!(1.5)),
            ("qty", json!(-1)),
            ("qty", json!(0)),
            ("qty", json!(1_001)),
            ("qty", json!(4_294_967_297_u64)),
            ("qty", json!(u64::MAX)),
            ("qty", json!(1e300)),
            ("qty", json!(null)),
            ("qty", json!(true)),
            ("qty", json!([1])),
            ("concertId", json!("not-an-id")),
            ("concertId", json!("")),
            ("concertId", json!(7)),
            ("concertId", json!(null)),
            ("userId", json!("not-an-id")),
            ("userId", json!(7)),
            ("quantity", json!(1)),
            ("status", json!("BookingApproved")),
        ],
    );
    cases.extend(missing_fields(fan, "/bookings", &right, &["concertId", "qty"]));
    cases.extend(no_json(fan, "/bookings"));
    cases.extend(too_large(fan, "/bookings"));
    cases.push(nameless(fan, Method::POST, "/bookings", &json!([concert, 1, null])));
    let send =
        |body: String| fan.request(Method::POST, "/bookings").header("Content-Type", "application/json").body(body);
    cases.push(Case::new("nothing", send(String::new()), 422, "invalid-request").naming("concertId"));
    cases.push(Case::new("two bodies", send(format!("{right}{right}")), 400, "malformed-json"));
    cases.push(Case::new("half a body", send(right.to_string().replace('}', "")), 400, "malformed-json"));
    world.refuses(cases).await;
    // Deeper than the parser goes: not read, or read and not liked.
    let deep = fan.send(send(format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)))).await;
    assert!(matches!(deep.status, 400 | 422), "{deep:?}");
}

#[tokio::test]
async fn a_wrong_concert_is_refused_by_the_name_of_what_is_wrong() {
    let world = World::start().await;
    let World { organizer, .. } = &world;
    let price = |amount: Value, currency: Value| json!({"amount": amount, "currency": currency});
    let mut cases = wrong_fields(
        organizer,
        "/concerts",
        &concert_of(10),
        &[
            ("ticketQty", json!("10")),
            ("ticketQty", json!(0)),
            ("ticketQty", json!(-10)),
            ("ticketQty", json!(10.5)),
            ("ticketQty", json!(4_294_967_296_u64)),
            ("ticketQty", json!(u64::MAX)),
            ("name", json!("")),
            ("name", json!("x".repeat(10_000))),
            ("name", json!(7)),
            ("price", json!(110_000)),
            ("price", json!("110000 KRW")),
            ("price", price(json!(-1), json!("KRW"))),
            ("price", price(json!(1.5), json!("KRW"))),
            ("price", price(json!("1"), json!("KRW"))),
            ("price", price(json!(u64::MAX), json!("KRW"))),
            ("price", price(json!(1), json!("XYZ"))),
            ("price", price(json!(1), json!(null))),
            ("price", json!({"amount": 1})),
            ("price", json!([1, "KRW"])),
            ("price", json!({"amount": 1, "currency": "KRW", "tax": 1})),
            ("startsAt", json!("tomorrow")),
            ("startsAt", json!(1_700_000_000)),
            ("startsAt", json!("2030-13-01T00:00:00Z")),
            ("venue", json!(7)),
            ("maxPerBooking", json!(0)),
            ("maxPerBooking", json!(-1)),
            ("maxPerBooking", json!("4")),
            ("holdSeconds", json!(0)),
            ("holdSeconds", json!(-1)),
            ("holdSeconds", json!(u64::MAX)),
            ("organizerId", json!(Uuid::now_v7())),
            ("id", json!(Uuid::now_v7())),
        ],
    );
    cases.extend(missing_fields(organizer, "/concerts", &concert_of(10), &["name", "ticketQty", "price"]));
    cases.extend(no_json(organizer, "/concerts"));
    cases.extend(too_large(organizer, "/concerts"));
    let values = json!(["Autumn", 10, {"amount": 1, "currency": "KRW"}, null, null, null, null]);
    cases.push(nameless(organizer, Method::POST, "/concerts", &values));
    let path = format!("/concerts/{}", world.concert);
    cases.push(nameless(organizer, Method::PATCH, &path, &json!([20])));
    for qty in [json!("5"), json!(-1), json!(0), json!(2.5), json!(u64::MAX)] {
        let request = organizer.request(Method::PATCH, &path).json(&json!({"ticketQty": qty}));
        cases.push(Case::new(format!("PATCH of ticketQty {qty}"), request, 422, "invalid-request").naming("ticketQty"));
    }
    let request = organizer.request(Method::PATCH, &path).json(&json!({"name": "Another"}));
    cases.push(Case::new("PATCH of the name", request, 422, "invalid-request").naming("name"));
    world.refuses(cases).await;
}

#[tokio::test]
async fn a_wrong_sign_up_sign_in_or_payment_is_refused_by_the_name_of_what_is_wrong() {
    let world = World::start().await;
    let World { anonymous, fan, payment, .. } = &world;
    let right = json!({"name": "Somebody", "email": "somebody@example.org", "password": PASSWORD});
    let mut cases = wrong_fields(
        anonymous,
        "/users",
        &right,
        &[
            ("name", json!("")),
            ("name", json!(7)),
            ("name", json!("x".repeat(10_000))),
            ("email", json!("")),
            ("email", json!("somebody")),
            ("email", json!(7)),
            ("email", json!(format!("{}@example.org", "x".repeat(10_000)))),
            ("password", json!("")),
            ("password", json!(7)),
            ("password", json!(null)),
            ("password", json!("x".repeat(10_000))),
            ("role", json!("organizer")),
            ("id", json!(Uuid::now_v7())),
        ],
    );
    cases.extend(missing_fields(anonymous, "/users", &right, &["name", "email", "password"]));
    cases.extend(no_json(anonymous, "/users"));
    cases.extend(too_large(anonymous, "/users"));
    cases.push(nameless(anonymous, Method::POST, "/users", &json!(["Somebody", "nameless@example.org", PASSWORD])));

    let right = json!({"email": fan.email, "password": PASSWORD});
    let wrong = [("email", json!(7)), ("password", json!(null)), ("role", json!("organizer"))];
    cases.extend(wrong_fields(anonymous, "/sessions", &right, &wrong));
    cases.extend(missing_fields(anonymous, "/sessions", &right, &["email", "password"]));
    cases.push(nameless(anonymous, Method::POST, "/sessions", &json!([fan.email, PASSWORD])));
    cases.extend(no_json(anonymous, "/sessions"));
    cases.extend(too_large(anonymous, "/sessions"));

    let path = format!("/payments/{payment}/approve");
    cases.extend(wrong_fields(
        fan,
        &path,
        &json!({}),
        &[
            ("paymentKey", json!("")),
            ("paymentKey", json!(7)),
            ("paymentKey", json!("x".repeat(10_000))),
            ("amount", json!(1)),
        ],
    ));
    cases.push(nameless(fan, Method::POST, &path, &json!(["a-key"])));
    cases.extend(no_json(fan, &path));
    cases.extend(too_large(fan, &path));
    world.refuses(cases).await;
}
