//! Servers that the product is compared with: each in a process of its own, which is this program again.

mod crud;
mod http_limit;
mod naive_es;

use std::{
    env,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::Router;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    error::{Doing as _, Error},
    load::Connection,
    processes::Pid,
    product::{Product, die_with_us, free_address},
};

pub(crate) use naive_es::TABLE as NAIVE_ES_TABLE;

/// The tables of the CRUD service.
pub(crate) const CRUD_TABLES: &str = include_str!("crud.sql");
/// How long a server may take to listen.
const LISTEN_MAX: Duration = Duration::from_secs(10);
/// How often we try.
const LISTEN_PAUSE: Duration = Duration::from_millis(10);
/// Its database, by environment.
const DATABASE: &str = "BENCH_PEER_DATABASE";
/// The payment provider, by environment.
const PROVIDER: [&str; 2] = ["PROVIDER_URL", "PROVIDER_SECRET"];
/// How long a hold lasts, for peers that do not say; the product's own default.
const HOLD_SECONDS: i64 = 600;

/// Which.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Peer {
    /// A bare axum route.
    HttpLimit,
    /// axum, sqlx, rows that are updated.
    Crud,
    /// axum, cqrs-es, postgres-es, as their documentation has it.
    NaiveEs,
}

impl Peer {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Serves, for ever.
    pub async fn serve(self, address: SocketAddr) -> Result<(), Error> {
        let setting = |name: &'static str| env::var(name).map_err(|_| Error::NoSetting(name));
        let router: Router = match self {
            Self::HttpLimit => http_limit::router(),
            Self::Crud => {
                let [url, secret] = PROVIDER;
                crud::router(&setting(DATABASE)?, &setting(url)?, &setting(secret)?).await?
            }
            Self::NaiveEs => naive_es::router(&setting(DATABASE)?).await?,
        };
        let listener = TcpListener::bind(address).await.doing(format!("listening on {address}"))?;
        axum::serve(listener, router).await.doing("serving")
    }
}

/// A peer's process, and its payment provider where it asks one; killed when dropped.
pub(crate) struct Process {
    server: Server,
    provider: Option<Server>,
}

impl Process {
    /// Starts it, with `database` where it needs one and a payment provider of its own where it takes payments, and waits until
    /// it listens.
    pub async fn start(peer: Peer, database: Option<&str>, product: &Product) -> Result<Self, Error> {
        let provider = match peer {
            Peer::Crud => Some(Self::start_provider(product).await?),
            Peer::HttpLimit | Peer::NaiveEs => None,
        };
        let address = free_address().doing("finding a free port")?;
        let mut command = Command::new(env::current_exe().doing("finding our own executable")?);
        command.args(["--serve", &peer.name(), "--address", &address.to_string()]);
        if let Some(database) = database {
            command.env(DATABASE, database);
        }
        if let Some(provider) = &provider {
            let [url, secret] = PROVIDER;
            command.env(url, format!("http://{}", provider.address)).env(secret, product.setting(secret)?);
        }
        Ok(Self { server: Server::start(command, address).await?, provider })
    }

    /// The simulator that the product asks, once more: it keeps books in a file as that does, and sends nobody webhooks, which a
    /// peer would not read.
    async fn start_provider(product: &Product) -> Result<Server, Error> {
        let address = free_address().doing("finding a free port")?;
        let books = product.data().join(format!("peer-{}.jsonl", address.port()));
        let mut command = product.command(&["provider", "--listen", &address.to_string(), "--books"])?;
        command.arg(books);
        Server::start(command, address).await
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Its processes, its own first.
    pub fn pids(&self) -> Vec<Pid> {
        std::iter::once(&self.server).chain(&self.provider).map(|server| server.child.id()).collect()
    }
}

/// A process that listens; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until it listens.
    async fn start(mut command: Command, address: SocketAddr) -> Result<Self, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        die_with_us(&mut command);
        let child = command.spawn().doing(format!("starting {}", command.get_program().display()))?;
        let this = Self { child, address };
        let begin = Instant::now();
        loop {
            match Connection::open(address).await {
                Ok(_) => return Ok(this),
                Err(error) if begin.elapsed() > LISTEN_MAX => return Err(error),
                Err(_) => sleep(LISTEN_PAUSE).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What a booking says to a peer: the product's body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewBooking {
    concert_id: Uuid,
    qty: u32,
}

/// A booking's answer in the product's words, so that every server writes the same.
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
    amount: Amount,
    expires_at: String,
}

#[derive(Serialize)]
struct Amount {
    amount: i64,
    currency: &'static str,
}

impl BookingAnswer {
    fn new(booking_id: Uuid, payment_id: Uuid, new: &NewBooking, amount: i64, expires_at: String) -> Self {
        Self {
            booking_id,
            concert_id: new.concert_id,
            // Nobody is authenticated by a peer.
            user_id: new.concert_id,
            qty: new.qty,
            status: "BookingRequested",
            payment_id,
            payment_status: "PaymentRequested",
            amount: Amount { amount, currency: "KRW" },
            expires_at,
        }
    }
}
