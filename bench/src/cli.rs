//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use crate::{
    error::Error,
    peers::Peer,
    report, run,
    scenarios::{Name, Size},
};

/// Connections a scenario keeps open by default: as many buyers at once.
const CONNECTIONS: usize = 256;
/// Connections, at most: each is a file of ours and one of the product's.
const CONNECTIONS_MAX: u64 = 900;
/// How large the scenarios are that have a size, and how large where it only matters whether they work.
const SIZE: Size = Size { events: 5_000_000, concerts: 1_000, tickets: 50_000 };
const SIZE_QUICK: Size = Size { events: 200_000, concerts: 200, tickets: 5_000 };

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
    /// Events of the log with a long past, about.
    #[arg(long, value_parser = clap::value_parser!(u64).range(7..=50_000_000), value_name = "N")]
    events: Option<u64>,
    /// Concerts of `many`.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    concerts: Option<u32>,
    /// Tickets of `sell-out`; a fifth more want one.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000), value_name = "N")]
    tickets: Option<u64>,
    /// Draw the plots into this directory.
    #[arg(long, default_value = "bench/out", value_name = "DIR")]
    pub out: PathBuf,
    /// Keep the products' data in this directory, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Be the server of a limit or of a peer.
    #[arg(long, hide = true, requires = "address")]
    serve: Option<Peer>,
    /// Where to be it.
    #[arg(long, hide = true)]
    address: Option<SocketAddr>,
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

    /// How large the scenarios are that have a size.
    pub fn size(&self) -> Size {
        let usual = if self.quick { SIZE_QUICK } else { SIZE };
        Size {
            events: self.events.unwrap_or(usual.events),
            concerts: self.concerts.and_then(|concerts| concerts.try_into().ok()).unwrap_or(usual.concerts),
            tickets: self.tickets.unwrap_or(usual.tickets),
        }
    }

    /// The scenarios to run, in their order.
    pub fn names(&self) -> Vec<Name> {
        Name::all().iter().copied().filter(|name| self.only.is_empty() || self.only.contains(name)).collect()
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
    let serve = cli.serve.zip(cli.address);
    // The load needs one thread only; it leaves the rest of the machine to what is measured.
    let runtime = match serve {
        Some(_) => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        None => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime does not start: {error}")),
    };
    let outcome = runtime.block_on(async {
        match serve {
            Some((peer, address)) => peer.serve(address).await.map(|()| true),
            None => measure(&cli).await,
        }
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => failed("the results are wrong: see above"),
        Err(error) => failed(&error.to_string()),
    }
}

/// Whether what was measured is worth anything.
async fn measure(cli: &Cli) -> Result<bool, Error> {
    let report = run::run(cli).await?;
    report::print(&report);
    if let Some(file) = &cli.json {
        report::write_json(&report, file)?;
    }
    for file in report::draw(&report, &cli.out)? {
        println!("plot  {}", file.display());
    }
    Ok(report.is_sound())
}

fn failed(message: &str) -> ExitCode {
    eprintln!("bench: {message}");
    ExitCode::FAILURE
}
