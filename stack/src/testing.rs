//! Throw-away servers for tests: quick to start, real in everything else, and gone with the handle.
//!
//! ```no_run
//! # async fn example() -> Result<(), stack::Error> {
//! let postgres = stack::Postgres::temp().await?;
//! let nats = stack::Nats::temp().await?;
//! println!("{} {}", postgres.url(), nats.url());
//! # Ok(())
//! # }
//! ```

mod door;

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use door::Door;
use tempfile::TempDir;

use crate::blocking::off_thread;
use crate::error::Doing;
use crate::postgres::Cluster;
use crate::{Error, Nats, NatsOptions, Postgres, PostgresOptions, find};

/// How often [`eventually`] looks at its condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A directory younger than this may have an owner who is just about to lock it.
const ABANDONED_AFTER: Duration = Duration::from_mins(5);

impl Postgres {
    /// A throw-away Postgres with the database `boxoffice`, empty. `fsync` is on as in life.
    pub async fn temp() -> Result<Self, Error> {
        Self::temp_with(|options| options).await
    }

    /// A throw-away Postgres with other options, e.g. `|options| options.setting("max_connections", "20")`.
    pub async fn temp_with(
        change: impl FnOnce(PostgresOptions) -> PostgresOptions + Send + 'static,
    ) -> Result<Self, Error> {
        off_thread(move || {
            let temp = temp_dir("postgres")?;
            let options = change(PostgresOptions::new(temp.path()));
            copy_template(&options)?;
            Self::start_blocking(options, Some(temp))
        })
        .await
    }
}

impl Nats {
    /// A throw-away nats-server with an empty store.
    pub async fn temp() -> Result<Self, Error> {
        Self::temp_with(|options| options).await
    }

    /// A throw-away nats-server with other options.
    pub async fn temp_with(change: impl FnOnce(NatsOptions) -> NatsOptions + Send + 'static) -> Result<Self, Error> {
        off_thread(move || {
            let temp = temp_dir("nats")?;
            Self::start_blocking(change(NatsOptions::new(temp.path())), Some(temp))
        })
        .await
    }
}

/// Waits until `condition` holds; panics after `deadline`, saying what it waited for.
///
/// The one place in the tests that sleeps: everything else waits through here.
pub async fn eventually<F: Future<Output = bool>>(what: &str, deadline: Duration, mut condition: impl FnMut() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < deadline, "waited {deadline:?} for {what}, in vain");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn temp_dir(server: &str) -> Result<TempDir, Error> {
    let prefix = format!("boxoffice-{server}-");
    remove_abandoned(&env::temp_dir(), &prefix);
    tempfile::Builder::new().prefix(&prefix).tempdir().doing("creating a directory in", &env::temp_dir())
}

/// Removes what tests that were themselves killed have left behind: directories of ours whose lock is free.
fn remove_abandoned(parent: &Path, prefix: &str) {
    let ours = |entry: &fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw())
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten().filter(ours) {
        let Ok(lock) = File::open(entry.path().join("lock")) else { continue };
        let age = lock.metadata().and_then(|meta| meta.modified()).map(|created| created.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > ABANDONED_AFTER) && lock.try_lock().is_ok() {
            // What cannot be removed now, a later test may.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Fills the directory with a copy of a Postgres that was initialised once, which is far quicker than `initdb`.
fn copy_template(options: &PostgresOptions) -> Result<(), Error> {
    let binaries = match &options.bin {
        Some(dir) => find::postgres_in(dir)?,
        None => find::postgres()?,
    };
    let name: String = binaries.version.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let templates = templates_dir();
    fs::create_dir_all(&templates).doing("creating", &templates)?;
    let dir = templates.join(name);
    let lock_path = dir.with_extension("lock");
    let lock = File::create(&lock_path).doing("creating", &lock_path)?;
    // One process makes it; the others wait for it here.
    lock.lock().doing("locking", &lock_path)?;
    fs::create_dir_all(&dir).doing("creating", &dir)?;
    let template = Cluster::open(dir.canonicalize().doing("resolving", &dir)?, binaries.clone())?;
    let complete = dir.join("complete");
    if !complete.exists() {
        template.create_if_new()?;
        template.slim()?;
        File::create(&complete).doing("creating", &complete)?;
    }
    lock.unlock().doing("unlocking", &lock_path)?;
    let password = options.dir.join("password");
    fs::copy(template.dir.join("password"), &password).doing("creating", &password)?;
    Cluster::open(options.dir.clone(), binaries)?.copy_from(&template.data())
}

/// In the target directory of the build, where there is one; it is a cache that anybody may delete.
fn templates_dir() -> PathBuf {
    let executable = env::current_exe().unwrap_or_default();
    let is_target = |dir: &&Path| dir.join("CACHEDIR.TAG").is_file();
    // Files of other users would be of no use.
    let name = format!("boxoffice-postgres-{}", nix::unistd::geteuid());
    match executable.ancestors().find(is_target) {
        Some(target) => target.join(name),
        None => env::temp_dir().join(name),
    }
}
