//! The command itself.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use journal::Position;
use nats::StreamSource;
use projections::{
    mypage,
    rebuild::{self, Job, Log, Outcome, Stage},
    ticket_counts,
};
use sqlx::PgPool;
use tokio::sync::watch;

use super::{Bar, pool, show};
use crate::{
    cli,
    status::place::{PlaceError, Source},
};

/// What our session is called in Postgres, and what nats-server knows us by.
const SESSION: &str = "boxoffice rebuild";

/// What is read, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Concerts and their tickets, in Postgres.
    TicketCounts,
    /// Booking histories, in the file of MYPAGE_PATH.
    Mypage,
}

impl Which {
    pub const ALL: [Self; 2] = [Self::TicketCounts, Self::Mypage];

    pub const fn name(self) -> &'static str {
        match self {
            Self::TicketCounts => "ticket-counts",
            Self::Mypage => "mypage",
        }
    }
}

/// Where the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// Out of Postgres.
    Journal,
    /// Out of its copy in JetStream, and from nowhere else.
    Jetstream,
}

/// What to rebuild, and how.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").args(["projection", "all", "drop_old"]).required(true).multiple(true))]
pub(crate) struct Options {
    /// What to rebuild.
    #[arg(value_enum, conflicts_with = "all")]
    projection: Option<Which>,
    /// Rebuild everything.
    #[arg(long)]
    all: bool,
    /// Build and compare, but do not switch; exit with 1 where the live copy differs.
    #[arg(long, conflicts_with = "drop_old")]
    dry_run: bool,
    /// Where to read the log.
    #[arg(long, value_enum, default_value = "journal")]
    from: From,
    /// Do not rebuild, but drop the copies that were live before and are still kept.
    #[arg(long)]
    drop_old: bool,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
    /// The data directory of an `up`; without it DATABASE_URL, MYPAGE_PATH and NATS_READER_URL, else BOXOFFICE_DATA, else
    /// `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Rebuilds what is asked for, one after the other.
pub(crate) async fn run(options: Options) -> ExitCode {
    let source = match Source::find(options.data.clone(), |name| std::env::var(name).ok()) {
        Ok(source) => source,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let which: Vec<Which> = options.projection.map_or_else(|| Which::ALL.to_vec(), |one| vec![one]);
    // Named before anything is begun.
    if let Err(error) = needs(&source, &which, options.from) {
        return cli::misused(&error.to_string());
    }
    let pool = match pool(&source, SESSION).await {
        Ok(pool) => pool,
        Err(error) => return cli::failed(&error),
    };
    if options.drop_old {
        return drop_old(&source, &pool, &which, options.json).await;
    }
    let mut outcomes = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for which in which {
        match one(&source, &pool, which, &options).await {
            Ok(outcome) => {
                if options.dry_run && outcome.differences > 0 {
                    code = ExitCode::FAILURE;
                }
                if !options.json {
                    show::outcome(&outcome);
                }
                outcomes.push(outcome);
            }
            // The others are none the worse for it.
            Err(error) => code = cli::failed(&format!("{}: {error}", which.name())),
        }
    }
    if options.json {
        show::json(&outcomes);
    }
    code
}

fn needs(source: &Source, which: &[Which], from: From) -> Result<(), PlaceError> {
    source.database(SESSION)?;
    if which.contains(&Which::Mypage) {
        source.need("MYPAGE_PATH")?;
    }
    match from {
        From::Journal => Ok(()),
        From::Jetstream => source.nats_url().map(drop),
    }
}

async fn one(source: &Source, pool: &PgPool, which: Which, options: &Options) -> Result<Outcome, String> {
    let (stages, told) = watch::channel(Stage::default());
    let log = log(source, pool, options.from).await?;
    let job = Job { stages, dry_run: options.dry_run, ..Job::new(pool.clone(), log) };
    let work = match which {
        Which::TicketCounts => rebuild::run_ticket_counts(job),
        Which::Mypage => {
            let path = source.need("MYPAGE_PATH").map_err(|error| error.to_string())?;
            rebuild::run_mypage(path, job)
        }
    };
    let showing = tokio::spawn(show_progress(which.name(), told));
    let outcome = work.await;
    // The job is gone, and with it who tells.
    let _shown = showing.await;
    outcome.map_err(|error| journal::with_causes(&error))
}

async fn log(source: &Source, pool: &PgPool, from: From) -> Result<Log, String> {
    match from {
        From::Journal => Ok(rebuild::journal(pool.clone())),
        From::Jetstream => {
            let url = source.nats_url().map_err(|error| error.to_string())?;
            let client = nats::connect(&url, SESSION).await.map_err(|error| error.to_string())?;
            Ok(rebuild::source(Box::new(StreamSource::new(client, Position(0)))))
        }
    }
}

async fn show_progress(name: &str, mut told: watch::Receiver<Stage>) {
    let mut bar = Bar::new(name);
    while told.changed().await.is_ok() {
        let stage = *told.borrow_and_update();
        bar.at(stage.phase.as_str(), stage.position.0, stage.target.0);
    }
    bar.end();
}

async fn drop_old(source: &Source, pool: &PgPool, which: &[Which], json: bool) -> ExitCode {
    let mut dropped = Vec::new();
    for which in which {
        let count = match which {
            Which::TicketCounts => ticket_counts::drop_old(pool).await,
            Which::Mypage => match source.need("MYPAGE_PATH") {
                Ok(path) => mypage::drop_old(path).await,
                Err(error) => return cli::misused(&error.to_string()),
            },
        };
        match count {
            Ok(count) => dropped.push((which.name(), count)),
            Err(error) => return cli::failed(&format!("{}: {error}", which.name())),
        }
    }
    show::dropped(&dropped, json);
    ExitCode::SUCCESS
}
