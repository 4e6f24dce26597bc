//! `boxoffice seals …`: the keys that sign checkpoints.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use seals::{KeyFile, Log};
use sqlx::postgres::PgPoolOptions;

use crate::{cli, status::place::Source};

/// What our session is called in Postgres.
const SESSION: &str = "boxoffice seals";

/// The keys that sign checkpoints of the log.
#[derive(Subcommand)]
pub(crate) enum Seals {
    /// Print the public key, in the format of signed notes: NAME+ID+BASE64.
    Key {
        #[command(flatten)]
        place: Place,
        /// Every key that ever signed, with when and from which tree on.
        #[arg(long)]
        all: bool,
    },
    /// Make a new key. Checkpoints are signed with it and with the one before, until that is retired.
    Rotate {
        #[command(flatten)]
        place: Place,
    },
    /// Sign with the newest key only, and forget the one before.
    Retire {
        #[command(flatten)]
        place: Place,
    },
}

/// Which system.
#[derive(Args)]
pub(crate) struct Place {
    /// The data directory of an `up`. Without it DATABASE_URL says where the database is, and SEAL_KEY_PATH (or MYPAGE_PATH, which
    /// it is beside) where the keys are; or it is the directory of BOXOFFICE_DATA, or `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs one of them. The exit code is 1 where it cannot be done, 2 where it is not known where.
pub(crate) async fn run(command: Seals) -> ExitCode {
    let (Seals::Key { place, .. } | Seals::Rotate { place } | Seals::Retire { place }) = &command;
    let source = match Source::find(place.data.clone(), |name| std::env::var(name).ok()) {
        Ok(source) => source,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let (log, keys) = match open(&source).await {
        Ok(found) => found,
        Err(code) => return code,
    };
    let done = match command {
        Seals::Key { all: true, .. } => show_all(&log).await,
        Seals::Key { all: false, .. } => show(&log).await,
        Seals::Rotate { .. } => changed(&log, keys, "rotated", KeyFile::rotate),
        Seals::Retire { .. } => changed(&log, keys, "retired", KeyFile::retire),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::failed(&error.to_string()),
    }
}

async fn open(source: &Source) -> Result<(Log, Option<KeyFile>), ExitCode> {
    let database = source.database(SESSION).map_err(|error| cli::misused(&error.to_string()))?;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(database).await;
    let pool = pool.map_err(|error| cli::failed(&format!("Postgres (DATABASE_URL in {}): {error}", source.name)))?;
    let log = Log::open(pool).await.map_err(|error| cli::failed(&error.to_string()))?;
    Ok((log, source.seal_key_file().map(KeyFile::new)))
}

type Done = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The key that signed last: of two that do, the newer.
async fn show(log: &Log) -> Done {
    let newest = log.newest().await?.ok_or("no checkpoint is signed yet")?;
    let keys = log.keys().await?;
    let signed =
        |key: &&seals::KnownKey| seals::Checkpoint::verify(&newest.note, std::slice::from_ref(&key.key)).is_ok();
    let key = keys.iter().rev().find(signed).ok_or("the newest checkpoint is signed by no key that is known")?;
    println!("{}", key.key);
    Ok(())
}

async fn show_all(log: &Log) -> Done {
    for known in log.keys().await? {
        let since = known.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        println!("{}  since {since}, from a tree of {}", known.key, known.since_size);
    }
    Ok(())
}

fn changed(
    log: &Log,
    keys: Option<KeyFile>,
    what: &str,
    change: impl FnOnce(&KeyFile, &str) -> Result<Vec<seals::SigningKey>, seals::SealError>,
) -> Done {
    let keys = keys.ok_or("where the keys are is not known: set SEAL_KEY_PATH")?;
    let signing = change(&keys, log.origin())?;
    eprintln!("{what}; a running system takes it up with its next checkpoint. It signs with:");
    for key in signing {
        println!("{}", key.verifier());
    }
    Ok(())
}
