//! One simulator on a port of its own and an adapter that speaks to it.

use std::{net::SocketAddr, time::Duration};

use aggregates::{AttemptId, BookingId, Money, PaymentId};
use payments::{
    Cancel, Confirm, TossConfig, TossProvider,
    simulator::{self, Counts, Simulator},
};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The secret key of every adapter here.
pub const SECRET: &str = "test_sk_boxoffice";

/// How long a test waits for what must come, in milliseconds.
const PATIENCE_MS: u64 = 10_000;
/// The same.
pub const PATIENCE: Duration = Duration::from_millis(PATIENCE_MS);

/// A running simulator. It ends with the test; [`Desk::close`] waits for that.
pub struct Desk {
    pub simulator: Simulator,
    pub toss: TossProvider,
    pub address: SocketAddr,
    client: Client,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Desk {
    pub async fn open() -> Self {
        Self::open_with(Simulator::new()).await
    }

    pub async fn open_with(simulator: Simulator) -> Self {
        install_cryptography();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(simulator::serve(listener, simulator.clone(), shutdown.clone()));
        let client = Client::builder().no_proxy().build().unwrap();
        Self { simulator, toss: adapter(address), address, client, shutdown, serving }
    }

    /// Sets faults.
    pub async fn fault(&self, faults: Value) {
        let (status, body) = self.sim(Method::PUT, &faults.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// Calls `/_sim`.
    pub async fn sim(&self, method: Method, body: &str) -> (StatusCode, Value) {
        let url = format!("http://{}/_sim", self.address);
        let answer = self.client.request(method, url).body(body.to_owned()).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Calls the API as anybody might who has the secret key.
    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.address);
        let call = self.client.request(method, url).basic_auth(SECRET, Some("")).body(body.to_owned());
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        let answer = call.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub fn counts(&self) -> Counts {
        self.simulator.counts()
    }

    /// Ends it, whatever is still waiting for an answer.
    pub async fn close(mut self) {
        self.shutdown.cancel();
        in_time("the simulator's end", &mut self.serving).await.unwrap().unwrap();
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub fn install_cryptography() {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An adapter with patience enough for a busy machine.
pub fn adapter(address: SocketAddr) -> TossProvider {
    adapter_with(address, SECRET, PATIENCE_MS)
}

pub fn adapter_with(address: SocketAddr, secret: &str, timeout_ms: u64) -> TossProvider {
    let config = TossConfig::new(format!("http://{address}"), secret).timeout(Duration::from_millis(timeout_ms));
    TossProvider::new(&config).unwrap()
}

/// Waits for `future`, but not for ever.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

pub fn new_payment() -> PaymentId {
    PaymentId::of(BookingId(Uuid::now_v7()))
}

/// A first attempt to pay 110,000 won.
pub fn confirm(payment: PaymentId) -> Confirm {
    Confirm {
        payment_key: format!("key-{payment}"),
        order_id: payment,
        amount: Money::krw(110_000),
        idempotency_key: AttemptId(Uuid::now_v7()),
    }
}

/// The refund of what was confirmed.
pub fn cancel(confirmed: &Confirm) -> Cancel {
    Cancel {
        payment_key: confirmed.payment_key.clone(),
        reason: "concert cancelled".into(),
        idempotency_key: AttemptId::refund(confirmed.order_id),
    }
}
