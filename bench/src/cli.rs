//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use crate::{report, run, scenarios::Name};

/// Connections a scenario keeps open by default: as many buyers at once.
const CONNECTIONS: usize = 256;
/// Connections, at most: each is a file of ours and one of the product's.
const CONNECTIONS_MAX: u64 = 900;

/// Measures the product beside the limits of this machine.
#[derive(Parser)]
#[command(name = "bench", version, about)]
pub(crate) struct Cli {
    /// Also write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Few and short rounds: whether it works, not how fast it is.
    #[arg(long)]
    pub quick: bool,
    /// Only these scenarios.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub only: Vec<Name>,
    /// Buyers at once, each on a connection of its own.
    #[arg(long, default_value_t = CONNECTIONS, value_parser = connections, value_name = "N")]
    pub connections: usize,
    /// Measured rounds of each scenario.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    rounds: Option<u32>,
    /// Seconds of a round.
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    seconds: Option<Duration>,
    /// Keep the product's data in this directory, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Be the server of `http-limit`.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    serve_http_limit: Option<SocketAddr>,
}

impl Cli {
    /// Measured rounds of each scenario.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// Rounds that are not counted, before those that are.
    pub const fn warm_ups(&self) -> u32 {
        if self.quick { 1 } else { 2 }
    }

    /// How long a round lasts.
    pub fn round(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_secs(if self.quick { 2 } else { 8 }))
    }

    /// The scenarios to run, in their order.
    pub fn names(&self) -> Vec<Name> {
        Name::ALL.into_iter().filter(|name| self.only.is_empty() || self.only.contains(name)).collect()
    }
}

fn connections(text: &str) -> Result<usize, String> {
    let number: u64 = text.parse().map_err(|error| format!("{error}"))?;
    if (1..=CONNECTIONS_MAX).contains(&number) {
        usize::try_from(number).map_err(|error| error.to_string())
    } else {
        Err(format!("1 to {CONNECTIONS_MAX}"))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.05..=600.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err("0.05 to 600".to_owned()) }
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    // The load needs one thread only; it leaves the rest of the machine to what is measured.
    let runtime = match cli.serve_http_limit {
        Some(_) => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        None => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime does not start: {error}")),
    };
    runtime.block_on(async {
        if let Some(address) = cli.serve_http_limit {
            return match crate::scenarios::serve_http_limit(address).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error.to_string()),
            };
        }
        let report = match run::run(&cli).await {
            Ok(report) => report,
            Err(error) => return failed(&error.to_string()),
        };
        report::print(&report);
        if let Some(file) = &cli.json
            && let Err(error) = report::write_json(&report, file)
        {
            return failed(&error.to_string());
        }
        if report.is_sound() { ExitCode::SUCCESS } else { failed("the results are wrong: see above") }
    })
}

fn failed(message: &str) -> ExitCode {
    eprintln!("bench: {message}");
    ExitCode::FAILURE
}
