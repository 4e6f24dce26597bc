//! `http-limit`: the same requests to a bare axum route in a process of its own, which answers with the same body.

use std::{
    env,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use futures::{FutureExt as _, future::BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{Check, Round, Scenario, Stage, book::Counter, sample::Sample};
use crate::{
    error::{Doing as _, Error},
    load::{Ask, Connection, Load, drive},
    processes::Pid,
    product::{die_with_us, free_address},
};

/// How long the server may take to listen.
const LISTEN_MAX: Duration = Duration::from_secs(10);
/// How often we try.
const LISTEN_PAUSE: Duration = Duration::from_millis(10);
/// Bytes by which the answers may differ: fractions of a second are written without trailing zeros.
const NEAR_BYTES: usize = 8;

/// What a booking says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewBooking {
    concert_id: Uuid,
    qty: u32,
}

/// An answer of the same shape and size as the product's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BookingAnswer {
    booking_id: Uuid,
    concert_id: Uuid,
    user_id: Uuid,
    qty: u32,
    status: &'static str,
    payment_id: Uuid,
    payment_status: &'static str,
    amount: Value,
    expires_at: Value,
}

/// The server's part.
pub(crate) async fn serve(address: SocketAddr) -> Result<(), Error> {
    let sample = serde_json::json!({
        "amount": { "amount": 110_000, "currency": "KRW" },
        "expiresAt": "2030-01-01T00:00:00.000000Z",
    });
    let router = Router::new().route("/bookings", post(book)).with_state(Arc::new(sample));
    let listener = TcpListener::bind(address).await.doing(format!("listening on {address}"))?;
    axum::serve(listener, router).await.doing("serving")
}

async fn book(State(sample): State<Arc<Value>>, Json(new): Json<NewBooking>) -> (StatusCode, Json<BookingAnswer>) {
    let answer = BookingAnswer {
        booking_id: Uuid::now_v7(),
        concert_id: new.concert_id,
        user_id: new.concert_id,
        qty: new.qty,
        status: "BookingRequested",
        payment_id: Uuid::now_v7(),
        payment_status: "PaymentRequested",
        amount: sample["amount"].clone(),
        expires_at: sample["expiresAt"].clone(),
    };
    (StatusCode::CREATED, Json(answer))
}

/// The scenario.
pub(super) struct HttpLimit {
    server: Child,
    address: SocketAddr,
    asks: Arc<Counter>,
    /// Bytes of an answer's body: the product's, and ours.
    body_bytes: (usize, usize),
}

impl HttpLimit {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let sample = Sample::take(stage).await?;
        let address = free_address().doing("finding a free port")?;
        let mut command = Command::new(env::current_exe().doing("finding our own executable")?);
        command.arg("--serve-http-limit").arg(address.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        die_with_us(&mut command);
        let server = command.spawn().doing("starting the server of http-limit")?;
        let asks = stage.office.bookings_of(Uuid::now_v7());
        let mut this = Self { server, address, asks: Arc::new(Counter::new(asks.clone())), body_bytes: (0, 0) };
        let answer: Value = this.first(&asks[0]).await?;
        this.body_bytes = (sample.answer.to_string().len(), answer.to_string().len());
        Ok(this)
    }

    /// The first answer, once it listens.
    async fn first(&self, ask: &Ask) -> Result<Value, Error> {
        let begin = Instant::now();
        let mut connection = loop {
            match Connection::open(self.address).await {
                Ok(connection) => break connection,
                Err(error) if begin.elapsed() > LISTEN_MAX => return Err(error),
                Err(_) => sleep(LISTEN_PAUSE).await,
            }
        };
        connection.send(ask).await?.expect(201, "http-limit")
    }
}

impl Scenario for HttpLimit {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let outcome = drive(self.address, stage.connections, &self.asks, load).await?;
            Ok(Round { outcome, drain: None })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, _: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        let (product, ours) = self.body_bytes;
        let check = Check {
            what: "http-limit: bytes of an answer's body".to_owned(),
            expected: format!("about {product}"),
            found: ours.to_string(),
            holds: product.abs_diff(ours) <= NEAR_BYTES,
        };
        async move { Ok(vec![check]) }.boxed()
    }

    fn server(&self) -> Option<Pid> {
        Some(self.server.id())
    }
}

impl Drop for HttpLimit {
    fn drop(&mut self) {
        let _gone_already = self.server.kill();
        let _reaped = self.server.wait();
    }
}
