//! What an operator and a developer of a client look at: health, metrics, and the API's own documentation.

use serde_json::Value;

use crate::support::{Boxoffice, Log};

/// Every route of the contract.
const ROUTES: [(&str, &str); 27] = [
    ("post", "/users"),
    ("post", "/sessions"),
    ("get", "/users/{id}"),
    ("delete", "/users/{id}"),
    ("post", "/concerts"),
    ("get", "/concerts"),
    ("get", "/concerts/{id}"),
    ("patch", "/concerts/{id}"),
    ("get", "/concerts/{id}/tickets/live"),
    ("post", "/bookings"),
    ("get", "/bookings/{id}"),
    ("delete", "/bookings/{id}"),
    ("get", "/bookings/{id}/receipt"),
    ("get", "/checkpoint"),
    ("get", "/tile/{id}/{id}"),
    ("get", "/tile/entries/{id}"),
    ("get", "/payments/{id}"),
    ("post", "/payments/{id}/approve"),
    ("get", "/bookingHistories"),
    ("get", "/bookingHistories/{id}"),
    ("delete", "/concerts/{id}"),
    ("get", "/audit/{id}/{id}/events"),
    ("get", "/audit/{id}/{id}"),
    ("get", "/audit/{id}/{id}/why"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
];

/// Names of path parameters are nobody's business.
fn without_names(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{id}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Checks an OpenAPI document against the contract.
pub fn assert_documents_every_route(document: &Value) {
    let version = document["openapi"].as_str().unwrap();
    assert!(version.starts_with("3.1."), "OpenAPI {version}");
    let paths = document["paths"].as_object().unwrap();
    let documented = |method: &str, path: &str| {
        paths.iter().any(|(documented, item)| without_names(documented) == path && item.get(method).is_some())
    };
    let missing: Vec<_> = ROUTES.iter().filter(|(method, path)| !documented(method, path)).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(_, operation)| operation.is_object()) {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path} says no success");
        }
    }
    let schemes = document["components"]["securitySchemes"].as_object().expect("how to authenticate");
    assert!(schemes.values().any(|scheme| scheme["scheme"] == "bearer"), "{schemes:?}");
}

#[tokio::test]
async fn health_is_told_to_anybody() {
    let system = Boxoffice::start().await;
    let anonymous = system.anonymous();
    anonymous.get("/livez").await.ok(200);
    anonymous.get("/readyz").await.ok(200);
}

#[tokio::test]
async fn metrics_tell_what_happened() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    fan.book(&concert, 1).await.ok(201);
    let head = Log::settled(&system.postgres().await).await.last();
    let metrics = system.anonymous().get("/metrics").await.ok(200);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{:?}", metrics.headers);
    let samples = metrics.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for sample in samples.clone() {
        let (_, value) = sample.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {sample}"));
        assert!(value.parse::<f64>().is_ok(), "not a sample: {sample}");
    }
    let names: Vec<&str> = samples.map(|sample| sample.split(['{', ' ']).next().unwrap()).collect();
    for name in ["relay_position", "relay_lag_events", "projection_position", "projection_lag_events"] {
        assert!(names.contains(&name), "no {name} (head {head}) among {names:?}");
    }
    assert!(!metrics.text.contains(&fan.email) && !metrics.text.contains(&fan.id), "people are no labels");
}

#[tokio::test]
async fn the_api_documents_every_route_of_the_contract() {
    let system = Boxoffice::start().await;
    let document = system.anonymous().get("/openapi.json").await.ok(200);
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_documents_every_route(&document.body);
    let docs = system.anonymous().get("/docs").await.ok(200);
    assert!(docs.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{:?}", docs.headers);
    assert!(docs.text.contains("swagger"), "{}", docs.text);
}

#[tokio::test]
async fn every_route_of_the_contract_is_there_with_and_without_a_trailing_slash() {
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booked = fan.post("/bookings/", &serde_json::json!({"concertId": concert, "qty": 1})).await.ok(201);
    let (booking, payment) = (booked.text_at("/bookingId"), booked.text_at("/paymentId"));
    fan.tickets_become(&concert, [10, 1, 0, 9]).await;
    let position = booked.position();
    for path in [
        "/concerts".to_owned(),
        format!("/concerts/{concert}"),
        format!("/bookings/{booking}"),
        format!("/payments/{payment}"),
        format!("/users/{}", fan.id),
        format!("/bookingHistories/{}", fan.id),
        "/bookingHistories".to_owned(),
        "/livez".to_owned(),
        "/readyz".to_owned(),
        "/openapi.json".to_owned(),
    ] {
        let (without, with) =
            (fan.get_at(&path, position).await.ok(200), fan.get_at(&format!("{path}/"), position).await.ok(200));
        assert_eq!(without.text, with.text, "{path}");
    }
    fan.post(&format!("/payments/{payment}/approve/"), &serde_json::json!({})).await.ok(200);
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let system = Boxoffice::start().await;
    for path in ["/livez", "/concerts", "/nowhere"] {
        let answer = system.anonymous().get(path).await;
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}: {:?}", answer.headers);
    }
}
