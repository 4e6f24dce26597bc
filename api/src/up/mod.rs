//! `boxoffice up`: the whole system on a private Postgres and nats-server, supervised.

mod demo;
mod env_file;
mod keep;
mod signals;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use env_file::Env;
use journal::with_causes;
use keep::Server;
use payments::{
    TossConfig,
    simulator::{self, Simulator},
};
use serde::Deserialize;
pub(crate) use signals::Signals;
use stack::{Nats, NatsOptions, Postgres, PostgresOptions};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use demo::organizer;
pub(crate) use env_file::value as env_value;

use crate::{Settings, System, cli, secret::Secret, settings::provider_timeout, system::install_cryptography};

/// How long the system may stand still before it answers that it is ready. A projection that is made anew from a long log
/// takes longer than any fixed time, and gets on.
const READY_WAIT_MAX: Duration = Duration::from_mins(1);
/// Pause between two questions whether it is.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// The secret key of the simulated provider. It guards nothing.
const PROVIDER_SECRET: &str = "test_sk_boxoffice";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) async fn run(data: &Path, listen: SocketAddr, demo: bool) -> ExitCode {
    let stop = CancellationToken::new();
    let mut signals = Signals::new();
    let up = tokio::select! {
        up = start(data, listen, demo, stop.clone()) => up,
        // Told to stop before it was up: dropping what was started ends it.
        () = signals.next() => return ExitCode::SUCCESS,
    };
    let up = match up {
        Ok(up) => up,
        Err(error) => return cli::failed(&with_causes(&*error)),
    };
    signals.next().await;
    eprintln!("boxoffice: stopping; once more to stop at once");
    stop.cancel();
    tokio::select! {
        () = up.stop() => ExitCode::SUCCESS,
        // Dropping the servers kills them.
        () = signals.next() => cli::failed("stopped at once"),
    }
}

/// Everything that `up` runs.
struct Up {
    system: System,
    servers: [Server; 2],
    tasks: TaskTracker,
    /// Ends the provider and the supervision, after the system has ended.
    ends: CancellationToken,
}

/// Bytes of its own log that the private Postgres writes between two checkpoints, about; and that it keeps to write over, since
/// a new file of it stops whoever writes for a tenth of a second.
const WAL: &str = "2GB";
/// Its memory for what was read and written last.
const SHARED_BUFFERS: &str = "256MB";

/// By its defaults Postgres would make a checkpoint each half minute of a sale, and after each write every page that is touched
/// to its log in full.
fn postgres_options(data: &Path) -> PostgresOptions {
    let options = PostgresOptions::new(data.join("postgres")).setting("shared_buffers", SHARED_BUFFERS);
    options.setting("max_wal_size", WAL).setting("min_wal_size", WAL)
}

async fn start(data: &Path, listen: SocketAddr, demo: bool, stop: CancellationToken) -> Result<Up, AnyError> {
    std::fs::create_dir_all(data).map_err(|error| format!("{}: {error}", data.display()))?;
    let data: PathBuf = data.canonicalize()?;
    // Before the servers: a port that is taken should not cost the time to start them.
    let listener = TcpListener::bind(listen).await.map_err(|error| format!("--listen {listen}: {error}"))?;
    let secret = Secret::kept_in(&data.join("secret"))?;
    let (postgres, nats) =
        tokio::try_join!(Postgres::start(postgres_options(&data)), Nats::start(NatsOptions::new(data.join("nats"))),)?;
    let (postgres, nats) = (Arc::new(postgres), Arc::new(nats));
    let servers = [Server::Nats(Arc::clone(&nats)), Server::Postgres(Arc::clone(&postgres))];
    let (tasks, ends) = (TaskTracker::new(), CancellationToken::new());
    for server in servers.clone() {
        tasks.spawn(server.keep(ends.clone()));
    }

    let provider = TcpListener::bind("127.0.0.1:0").await?;
    let provider_url = format!("http://{}", provider.local_addr()?);
    let books = Simulator::kept_in(&data.join("provider.jsonl"))?.webhook_url(webhook_url(listener.local_addr()?)?);
    install_cryptography();
    tasks.spawn(keep::provider(simulator::serve(provider, books, ends.clone())));
    tasks.close();

    let seal_key_path = data.join("seal.key");
    let timeout = provider_timeout(|name| std::env::var(name).ok())?;
    let settings = Settings {
        database: postgres.url().parse()?,
        nats_url: nats.url(),
        nats_reader_url: nats.reader_url(),
        mypage_path: data.join("mypage.db"),
        seal_key_path: seal_key_path.clone(),
        secret: Some(secret),
        provider: Some(TossConfig::new(&provider_url, PROVIDER_SECRET).timeout(timeout)),
    };
    let system = System::start(settings, listener, stop).await?;
    let address = system.address;
    let env = Env::kept_in(
        &data.join("env"),
        &[
            ("BOXOFFICE_URL", format!("http://{address}")),
            ("DATABASE_URL", postgres.url()),
            ("NATS_URL", nats.url()),
            ("NATS_READER_URL", nats.reader_url()),
            ("MYPAGE_PATH", data.join("mypage.db").display().to_string()),
            ("PROVIDER_URL", provider_url),
            ("PROVIDER_SECRET", PROVIDER_SECRET.to_owned()),
            ("BOXOFFICE_SEAL_KEY", system.seal_key.clone()),
            ("BOXOFFICE_SEAL_KEY_FILE", seal_key_path.display().to_string()),
        ],
    )?;
    demo::accounts(&system, &env).await?;
    if demo {
        demo::concert(&system, &env).await?;
    }
    if !answers_ready(address).await {
        return Err(
            format!("http://{address}/readyz did not answer 200, and stood still for {READY_WAIT_MAX:?}").into()
        );
    }
    announce(address, &data, &env);
    Ok(Up { system, servers, tasks, ends })
}

/// Where this system takes webhooks of its own provider.
fn webhook_url(mut address: SocketAddr) -> Result<reqwest::Url, AnyError> {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Ok(format!("http://{address}/payments/webhooks/toss").parse()?)
}

/// Asks `/readyz` until it answers 200, for as long as what follows the log gets on.
pub(crate) async fn answers_ready(address: SocketAddr) -> bool {
    let mut farthest = 0;
    let mut since = Instant::now();
    while since.elapsed() < READY_WAIT_MAX {
        let asking = reqwest::get(format!("http://{address}/readyz"));
        if let Ok(Ok(answer)) = tokio::time::timeout(READY_WAIT_MAX, asking).await {
            if answer.status().is_success() {
                return true;
            }
            let positions = answer.json::<Followers>().await.map_or(0, Followers::positions);
            if positions > farthest {
                (farthest, since) = (positions, Instant::now());
            }
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
    false
}

/// What `/readyz` says of those who follow the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Followers {
    ticket_counts_position: u64,
    mypage_position: u64,
}

impl Followers {
    /// Together: grows when either gets on.
    fn positions(self) -> u64 {
        self.ticket_counts_position + self.mypage_position
    }
}

fn announce(address: SocketAddr, data: &Path, env: &Env) {
    println!("organizer  {}  {}", env.organizer.email, env.organizer.password);
    println!("fan        {}  {}", env.fan.email, env.fan.password);
    println!("settings   {}", data.join("env").display());
    println!("docs       http://{address}/docs");
    println!("ready http://{address}");
}

impl Up {
    /// In order: the product, then what it stands on.
    async fn stop(self) {
        self.system.join().await;
        self.ends.cancel();
        self.tasks.wait().await;
        futures::future::join_all(self.servers.iter().map(Server::stop)).await;
    }
}
