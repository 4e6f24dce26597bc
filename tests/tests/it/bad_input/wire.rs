//! Headers, queries, and bodies that are too large to be read.

use reqwest::Method;
use serde_json::json;

use super::{Case, World};
use crate::support::{Boxoffice, PASSWORD};

/// Large bodies sent one after the other: what a refused one does to its connection shows at the next request.
const ROUNDS: usize = 50;

#[tokio::test]
async fn a_wrong_header_or_query_is_refused_by_its_name() {
    let world = World::start().await;
    let World { anonymous, fan, concert, .. } = &world;
    let mut cases = Vec::new();
    for position in ["abc", "-1", "1.5", "99999999999999999999", ""] {
        let request = anonymous.request(Method::GET, "/concerts").header("Boxoffice-Min-Position", position);
        let case = Case::new(format!("Boxoffice-Min-Position: {position:?}"), request, 422, "invalid-request");
        cases.push(case.naming("Boxoffice-Min-Position"));
    }
    for (query, field) in [
        ("limit=abc", "limit"),
        ("limit=-1", "limit"),
        ("limit=0", "limit"),
        ("before=abc", "before"),
        ("before=-1", "before"),
        ("limt=5", "limt"),
    ] {
        let request = fan.request(Method::GET, &format!("/bookingHistories?{query}"));
        cases.push(Case::new(query, request, 422, "invalid-request").naming(field));
    }
    let body = json!({"concertId": concert, "qty": 1});
    for key in [String::new(), "k".repeat(1_000)] {
        let request = fan.request(Method::POST, "/bookings").header("Idempotency-Key", &key).json(&body);
        let what = format!("an Idempotency-Key of {} characters", key.len());
        cases.push(Case::new(what, request, 422, "invalid-request").naming("Idempotency-Key"));
    }
    world.refuses(cases).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_always_answered_and_breaks_nothing_after_it() {
    let system = Boxoffice::start().await;
    let anonymous = system.anonymous();
    let body = "x".repeat(1_000_000);
    for round in 0..ROUNDS {
        let request = anonymous.request(Method::POST, "/users").header("Content-Type", "application/json");
        let refused = anonymous.try_send(request.body(body.clone())).await;
        refused.unwrap_or_else(|error| panic!("no answer in round {round}: {error:?}")).problem(413, "body-too-large");
        // Whatever became of the connection, the client was told before it used it again.
        anonymous.sign_in("nobody@example.org", PASSWORD).await.problem(401, "unauthenticated");
    }
}
