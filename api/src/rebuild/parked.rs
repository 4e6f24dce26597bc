//! `boxoffice projections`: what there is of each, and what it could not project.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use projections::{CopyState, Error, Retried, mypage, ticket_counts};
use serde::Serialize;
use sqlx::PgPool;

use super::{command::Which, pool, show};
use crate::{cli, status::place::Source};

/// What our session is called in Postgres.
const SESSION: &str = "boxoffice projections";

/// What to do with the projections.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List them, with the events that could not be projected.
    List(Options),
    /// Try those events again, and what waits behind them.
    Retry {
        /// Of which projection; of all without it.
        #[arg(value_enum)]
        projection: Option<Which>,
        #[command(flatten)]
        options: Options,
    },
}

/// Where they are, and how to show them.
#[derive(Args)]
pub(crate) struct Options {
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
    /// The data directory of an `up`; without it DATABASE_URL and MYPAGE_PATH, else BOXOFFICE_DATA, else `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Lists or retries. Exits with 1 where something stays parked after a retry.
pub(crate) async fn run(command: Command) -> ExitCode {
    let (which, options, is_retry) = match command {
        Command::List(options) => (Which::ALL.to_vec(), options, false),
        Command::Retry { projection, options } => {
            (projection.map_or_else(|| Which::ALL.to_vec(), |one| vec![one]), options, true)
        }
    };
    let source = match Source::find(options.data, |name| std::env::var(name).ok()) {
        Ok(source) => source,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let path = match source.need("MYPAGE_PATH") {
        Ok(path) => path.to_owned(),
        Err(error) if which.contains(&Which::Mypage) => return cli::misused(&error.to_string()),
        Err(_) => String::new(),
    };
    let pool = match pool(&source, SESSION).await {
        Ok(pool) => pool,
        Err(error) => return cli::failed(&error),
    };
    let done = if is_retry {
        retry(&which, &path, &pool, options.json).await
    } else {
        list(&which, &path, &pool, options.json).await
    };
    done.unwrap_or_else(|error| cli::failed(&error.to_string()))
}

async fn list(which: &[Which], path: &str, pool: &PgPool, json: bool) -> Result<ExitCode, Error> {
    let mut states: Vec<CopyState> = Vec::new();
    for which in which {
        states.push(match which {
            Which::TicketCounts => ticket_counts::state(pool).await?,
            Which::Mypage => mypage::state(path).await?,
        });
    }
    if json {
        show::json(&states);
    } else {
        show::states(&states);
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of the events of one projection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tried {
    projection: &'static str,
    retried: Vec<Retried>,
}

async fn retry(which: &[Which], path: &str, pool: &PgPool, json: bool) -> Result<ExitCode, Error> {
    let mut tried = Vec::new();
    for which in which {
        let retried = match which {
            Which::TicketCounts => ticket_counts::retry(pool).await?,
            Which::Mypage => mypage::retry(path, pool).await?,
        };
        if !json {
            show::retried(which.name(), &retried);
        }
        tried.push(Tried { projection: which.name(), retried });
    }
    if json {
        show::json(&tried);
    }
    let is_left = tried.iter().flat_map(|tried| &tried.retried).any(|retried| retried.left.is_some());
    Ok(if is_left { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
