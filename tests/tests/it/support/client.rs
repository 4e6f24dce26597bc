//! Somebody who speaks HTTP to a system.

use std::{
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, SOON, eventually};

/// Every wait of the system is bounded well below this.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// The price of one ticket of every concert here, in won.
pub const PRICE: u64 = 110_000;

static TLS: Once = Once::new();

/// A client, with or without a token. Clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Arc<str>,
    token: Option<Arc<str>>,
}

impl Client {
    /// Without a token.
    pub fn new(url: &str) -> Self {
        // Nothing here is encrypted, but the client does not start without a choice.
        TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build().unwrap();
        Self { http, url: url.trim_end_matches('/').into(), token: None }
    }

    /// The same with this token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The token it has.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("signed in")
    }

    /// The same with connections of its own, none of which can be broken already.
    pub fn fresh(&self) -> Self {
        Self { token: self.token.clone(), ..Self::new(&self.url) }
    }

    /// A request to be sent with [`Client::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends; fails only where there is no answer at all.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let request = request.build()?;
        let name = format!("{} {}", request.method(), request.url().path());
        Answer::of(name, self.http.execute(request).await?).await
    }

    /// Sends, and there must be an answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET, not before the view has this position.
    pub async fn get_at(&self, path: &str, position: u64) -> Answer {
        self.send(self.request(Method::GET, path).header("Boxoffice-Min-Position", position)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// POST of JSON under an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// `POST /users`.
    pub async fn sign_up(&self, name: &str, email: &str, password: &str) -> Answer {
        self.post("/users", &json!({"name": name, "email": email, "password": password})).await
    }

    /// `POST /sessions`.
    pub async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.post("/sessions", &json!({"email": email, "password": password})).await
    }

    /// Registers a concert with so many tickets, as organizers may, and gives its id.
    pub async fn register_concert(&self, tickets: u64) -> String {
        let body = concert_of(tickets);
        self.post("/concerts", &body).await.ok(201).text_at("/id")
    }

    /// `POST /bookings`.
    pub async fn book(&self, concert: &str, qty: u64) -> Answer {
        self.post("/bookings", &json!({"concertId": concert, "qty": qty})).await
    }

    /// `POST /payments/{id}/approve`, by any key not seen before.
    pub async fn pay(&self, payment: &str) -> Answer {
        self.pay_with(payment, &format!("key-{}", Uuid::new_v4())).await
    }

    /// Pays as a patient client does: while it is told to pay a little later (on a busy machine the provider's answer
    /// may come too late), it asks again under the same idempotency key.
    pub async fn pays(&self, payment: &str) -> Answer {
        let body = json!({"paymentKey": format!("key-{}", Uuid::new_v4())});
        self.post_patiently(&format!("/payments/{payment}/approve"), &Uuid::new_v4().to_string(), &body).await.ok(200)
    }

    /// POST of JSON under an idempotency key, again while the answer is 503.
    pub async fn post_patiently(&self, path: &str, key: &str, body: &Value) -> Answer {
        let last = Mutex::new(None);
        eventually(&format!("POST {path} to go through"), SOON, async || {
            let answer = self.post_once(path, key, body).await;
            let is_put_off = answer.status == 503;
            if is_put_off {
                answer.retry_after();
            }
            *last.lock().unwrap() = Some(answer);
            !is_put_off
        })
        .await;
        last.into_inner().unwrap().expect("an answer")
    }

    /// `POST /payments/{id}/approve`, by this key.
    pub async fn pay_with(&self, payment: &str, payment_key: &str) -> Answer {
        self.post(&format!("/payments/{payment}/approve"), &json!({"paymentKey": payment_key})).await
    }

    /// `DELETE /bookings/{id}`.
    pub async fn cancel(&self, booking: &str) -> Answer {
        self.delete(&format!("/bookings/{booking}")).await
    }

    /// Waits until a concert's counts are these: capacity, held, sold, available.
    pub async fn tickets_become(&self, concert: &str, wanted: [u64; 4]) {
        let path = format!("/concerts/{concert}");
        eventually(&format!("the counts {wanted:?}"), SOON, async || self.get(&path).await.ok(200).tickets() == wanted)
            .await;
    }
}

/// What a concert is registered with.
pub fn concert_of(tickets: u64) -> Value {
    json!({"name": "Autumn", "ticketQty": tickets, "price": {"amount": PRICE, "currency": "KRW"}})
}
