//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use payments::simulator::{self, Simulator};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Settings, System, audit, http, mirror, rebuild, sealing, status,
    system::install_cryptography,
    telemetry,
    up::{self, Signals},
};

/// What a wrong setting or argument exits with, as clap's own errors do.
const EXIT_USAGE: u8 = 2;

/// Concert ticketing that can prove what it did.
#[derive(Parser)]
#[command(name = "boxoffice", version, about, after_help = "Results go to standard output, logs to standard error.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole system on a private Postgres and nats-server.
    Up {
        /// Where all state lives; deleting it is a fresh start.
        #[arg(long, env = "BOXOFFICE_DATA", default_value = ".boxoffice", value_name = "DIR")]
        data: PathBuf,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
        listen: SocketAddr,
        /// Do not open the demo concert.
        #[arg(long)]
        no_demo: bool,
    },
    /// Run against the servers of DATABASE_URL, NATS_URL and MYPAGE_PATH.
    ///
    /// Also read: NATS_READER_URL, SEAL_KEY_PATH, BOXOFFICE_SECRET, PROVIDER_URL and PROVIDER_SECRET,
    /// PROVIDER_TIMEOUT_MS (what a buyer waits for the provider: 610, or 50 to 5000); and, to make sure that an organizer
    /// can sign in, ORGANIZER_EMAIL and ORGANIZER_PASSWORD.
    Serve {
        /// What this process does. All of it, for now.
        #[arg(long, default_value = "all", value_parser = ["all"])]
        roles: String,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
        listen: SocketAddr,
    },
    /// Show where the system stands: the log, who follows it how far, money, holds, processes.
    Status(status::Options),
    /// The log as evidence: verify it, tell from it, replay it, export it, give receipts.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The keys that sign checkpoints of the log.
    #[command(subcommand)]
    Seals(sealing::Seals),
    /// Make what is read anew from the log, beside the live copy, and switch to it.
    Rebuild(rebuild::Options),
    /// List what is read, and try again what could not be projected.
    #[command(subcommand)]
    Projections(rebuild::ProjectionsCommand),
    /// Look after the copy of the log in JetStream.
    #[command(subcommand)]
    Mirror(mirror::Command),
    /// After Postgres was restored from a backup: what JetStream has that it lost.
    RestoreCheck(mirror::RestoreCheck),
    /// Print the OpenAPI 3.1 document.
    Openapi,
    /// Run the payment provider's simulator.
    Provider {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
        listen: SocketAddr,
        /// Keep the books in this file; in memory without it.
        #[arg(long, value_name = "FILE")]
        books: Option<PathBuf>,
        /// Tell of each change of a payment at this URL.
        #[arg(long, value_name = "URL")]
        webhook_url: Option<reqwest::Url>,
    },
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let Cli { command } = Cli::parse();
    // A screen is no place for logs: what goes wrong is shown on it.
    if !matches!(command, Command::Status(_)) {
        telemetry::log();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime does not start: {error}")),
    };
    runtime.block_on(async {
        match command {
            Command::Up { data, listen, no_demo } => up::run(&data, listen, !no_demo).await,
            Command::Serve { listen, .. } => serve(listen).await,
            Command::Status(options) => status::run(options).await,
            Command::Audit(command) => audit::run(command).await,
            Command::Seals(command) => sealing::run_command(command).await,
            Command::Rebuild(options) => rebuild::run(options).await,
            Command::Projections(command) => rebuild::run_projections(command).await,
            Command::Mirror(command) => mirror::run(command).await,
            Command::RestoreCheck(options) => mirror::restore_check(options).await,
            Command::Openapi => openapi(),
            Command::Provider { listen, books, webhook_url } => provider(listen, books, webhook_url).await,
        }
    })
}

pub(crate) fn failed(message: &str) -> ExitCode {
    eprintln!("boxoffice: {message}");
    ExitCode::FAILURE
}

pub(crate) fn misused(message: &str) -> ExitCode {
    eprintln!("boxoffice: {message}");
    ExitCode::from(EXIT_USAGE)
}

async fn serve(listen: SocketAddr) -> ExitCode {
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return misused(&error.to_string()),
    };
    let organizer = std::env::var("ORGANIZER_EMAIL").ok().zip(std::env::var("ORGANIZER_PASSWORD").ok());
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => return misused(&format!("--listen {listen}: {error}")),
    };
    let stop = CancellationToken::new();
    let system = match System::start(settings, listener, stop.clone()).await {
        Ok(system) => system,
        Err(error) => return misused(&error.to_string()),
    };
    if let Some((email, password)) = organizer
        && let Err(error) = up::organizer(&system, &email, password).await
    {
        tracing::error!(%error, "the organizer's account could not be made");
    }
    let address = system.address;
    let announcing = tokio::spawn(async move {
        if up::answers_ready(address).await {
            println!("ready http://{address}");
        }
    });
    Signals::until_stopped(&stop, system.join()).await;
    announcing.abort();
    ExitCode::SUCCESS
}

fn openapi() -> ExitCode {
    match http::document() {
        Ok(document) => {
            println!("{document}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error.to_string()),
    }
}

async fn provider(listen: SocketAddr, books: Option<PathBuf>, webhook_url: Option<reqwest::Url>) -> ExitCode {
    let simulator = match books.as_deref().map(Simulator::kept_in).transpose() {
        Ok(simulator) => simulator.unwrap_or_default(),
        Err(error) => return misused(&format!("--books: {error}")),
    };
    let simulator = match webhook_url {
        Some(url) => {
            install_cryptography();
            simulator.webhook_url(url)
        }
        None => simulator,
    };
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => return misused(&format!("--listen {listen}: {error}")),
    };
    if let Ok(address) = listener.local_addr() {
        println!("ready http://{address}");
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(simulator::serve(listener, simulator, stop.clone()));
    Signals::until_stopped(&stop, async {
        match serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the simulator ended"),
            Err(error) => tracing::error!(%error, "the simulator panicked"),
        }
    })
    .await;
    ExitCode::SUCCESS
}
