//! What is wrong with a request is said by its name, and changes nothing.

mod access;
mod fields;
mod wire;

use futures::{StreamExt, stream};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Boxoffice, Client, Fan, Log};

/// Wrong requests sent at once.
const AT_ONCE: usize = 8;
/// The largest body that is read, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A system with everything that somebody could ask for wrongly.
struct World {
    system: Boxoffice,
    anonymous: Client,
    organizer: Client,
    fan: Fan,
    other: Fan,
    concert: String,
    /// Of `fan`, held.
    booking: String,
    payment: String,
}

impl World {
    async fn start() -> Self {
        let system = Boxoffice::start().await;
        let (anonymous, organizer) = (system.anonymous(), system.organizer().await);
        let (fan, other) = (system.fan().await, system.fan().await);
        let concert = organizer.register_concert(10).await;
        let booked = fan.book(&concert, 2).await.ok(201);
        let (booking, payment) = (booked.text_at("/bookingId"), booked.text_at("/paymentId"));
        Self { system, anonymous, organizer, fan, other, concert, booking, payment }
    }

    /// Sends all of them; each must get its problem, and the log must be as long as before.
    async fn refuses(&self, cases: Vec<Case>) {
        let postgres = self.system.postgres().await;
        let before = Log::settled(&postgres).await.last();
        let count = cases.len();
        let wrong: Vec<String> = stream::iter(cases)
            .map(|case| async move {
                let Case { what, request, status, problem, named } = case;
                let answer = match self.anonymous.try_send(request).await {
                    Ok(answer) => answer,
                    Err(error) => return Some(format!("{what}: no answer: {error:?}")),
                };
                let unnamed = named.filter(|name| !answer.body["detail"].as_str().unwrap_or_default().contains(name));
                let unnamed = || unnamed.map(|name| format!("{name} is not named: {}", answer.text));
                answer.is_not_problem(status, problem).or_else(unnamed).map(|wrong| format!("{what}: {wrong}"))
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let list = wrong.join("\n");
        assert!(wrong.is_empty(), "{} of {count} bad requests are answered otherwise:\n{list}", wrong.len());
        assert_eq!(Log::settled(&postgres).await.last(), before, "a refused request left something in the log");
    }
}

/// A wrong request and what is to be said of it.
struct Case {
    what: String,
    request: RequestBuilder,
    status: u16,
    problem: &'static str,
    /// The field that the detail names.
    named: Option<&'static str>,
}

impl Case {
    fn new(what: impl Into<String>, request: RequestBuilder, status: u16, problem: &'static str) -> Self {
        Self { what: what.into(), request, status, problem, named: None }
    }

    fn naming(self, field: &'static str) -> Self {
        Self { named: Some(field), ..self }
    }
}

/// JSON that is understood but not accepted, in one field of an otherwise right body.
fn wrong_fields(client: &Client, path: &str, right: &Value, wrong: &[(&'static str, Value)]) -> Vec<Case> {
    let post = |what: String, body: &Value| {
        Case::new(what, client.request(Method::POST, path).json(body), 422, "invalid-request")
    };
    let mut cases: Vec<Case> = wrong
        .iter()
        .map(|(field, value)| {
            let mut body = right.clone();
            body[*field] = value.clone();
            let short: String = value.to_string().chars().take(40).collect();
            post(format!("POST {path} with {field} = {short}"), &body).naming(field)
        })
        .collect();
    for other in [json!([]), json!("text"), json!(7), json!(null), json!([right])] {
        cases.push(post(format!("POST {path} with {other}"), &other));
    }
    cases
}

/// The right values without their names, in the order in which the fields are documented.
fn nameless(client: &Client, method: Method, path: &str, values: &Value) -> Case {
    let request = client.request(method, path).json(values);
    Case::new(format!("{path} with {values}"), request, 422, "invalid-request")
}

/// An otherwise right body without one field.
fn missing_fields(client: &Client, path: &str, right: &Value, fields: &[&'static str]) -> Vec<Case> {
    let without = |field: &'static str| {
        let mut body = right.clone();
        body.as_object_mut().unwrap().remove(field);
        let request = client.request(Method::POST, path).json(&body);
        Case::new(format!("POST {path} without {field}"), request, 422, "invalid-request").naming(field)
    };
    fields.iter().copied().map(without).collect()
}

/// What is no JSON at all.
fn no_json(client: &Client, path: &str) -> Vec<Case> {
    let bodies: [&[u8]; 6] = [b"{", b"{\"", b"nonsense", b"{'a': 1}", b"{\"\xff\": 1}", b"qty=1&concertId=2"];
    let case = |body: &[u8]| {
        let request = client.request(Method::POST, path).header("Content-Type", "application/json").body(body.to_vec());
        Case::new(format!("POST {path} with {:?}", String::from_utf8_lossy(body)), request, 400, "malformed-json")
    };
    bodies.into_iter().map(case).collect()
}

/// What is too large to be read.
fn too_large(client: &Client, path: &str) -> Vec<Case> {
    let body = |bytes: usize| format!("{{\"name\": \"{}\"}}", "x".repeat(bytes));
    let case = |bytes: usize| {
        let request = client.request(Method::POST, path).header("Content-Type", "application/json").body(body(bytes));
        Case::new(format!("POST {path} of {bytes} bytes"), request, 413, "body-too-large")
    };
    vec![case(BODY_BYTES_MAX), case(1_000_000)]
}
