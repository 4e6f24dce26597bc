//! A private Postgres.

mod cluster;
mod launch;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

use crate::blocking::off_thread;
use crate::ownership::Ownership;
use crate::ports::Port;
use crate::server::Server;
use crate::{Error, find};

pub(crate) use cluster::Cluster;

/// The superuser and the database of every private Postgres.
pub(crate) const USER: &str = "boxoffice";
pub(crate) const DATABASE: &str = "boxoffice";

/// How to start a private Postgres.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The directory of this server; created where needed. It comes to hold `data/`, `password`, `postgres.log`, `lock`.
    pub dir: PathBuf,
    /// The directory with the binaries; `None`: what [`find::postgres`] finds.
    pub bin: Option<PathBuf>,
    /// The port on 127.0.0.1; `None`: any free one.
    pub port: Option<u16>,
    /// Further server settings, `name` and `value`. They win over ours (which keep `fsync` and `synchronous_commit` on).
    pub settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// Everything by default, in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), bin: None, port: None, settings: Vec::new() }
    }

    /// With a server setting, such as `("max_connections", "200")`.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// A private Postgres on 127.0.0.1 whose only user is `boxoffice`, with a password kept beside the data.
///
/// Dropping it kills it at once (Postgres recovers from that); [`Postgres::stop`] is the orderly way.
#[derive(Debug)]
pub struct Postgres {
    inner: Arc<Inner>,
    /// The directory of a throw-away server, deleted once the server is dead.
    _throw_away: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    settings: Vec<(String, String)>,
    port: u16,
    server: Server,
    _ownership: Ownership,
}

impl Postgres {
    /// Starts Postgres, after creating its data directory (and in it the database `boxoffice`) the first time.
    ///
    /// What an owner that vanished left running in the directory is stopped first. Returns when connections are accepted.
    pub async fn start(options: PostgresOptions) -> Result<Self, Error> {
        off_thread(move || Self::start_blocking(options, None)).await
    }

    pub(crate) fn start_blocking(
        options: PostgresOptions,
        throw_away: Option<tempfile::TempDir>,
    ) -> Result<Self, Error> {
        let PostgresOptions { dir, bin, port, settings } = options;
        let binaries = match bin {
            Some(dir) => find::postgres_in(&dir)?,
            None => find::postgres()?,
        };
        let (ownership, dir) = Ownership::take(&dir)?;
        let cluster = Cluster::open(dir, binaries)?;
        cluster.stop_left_over()?;
        cluster.create_if_new()?;
        let (port, process) = launch::launch(&cluster, &settings, Port::from(port))?;
        let server = Server::new(process);
        let inner = Arc::new(Inner { cluster, settings, port, server, _ownership: ownership });
        Ok(Self { inner, _throw_away: throw_away })
    }

    /// `postgres://boxoffice:PASSWORD@127.0.0.1:PORT/boxoffice`; the same for as long as this lives.
    pub fn url(&self) -> String {
        let password = &self.inner.cluster.password;
        format!("postgres://{USER}:{password}@127.0.0.1:{}/{DATABASE}", self.inner.port)
    }

    /// The port on 127.0.0.1; the same for as long as this lives.
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// The process id of the (latest) postmaster.
    pub fn pid(&self) -> u32 {
        self.inner.server.process().pid().cast_unsigned()
    }

    /// Whether the postmaster runs.
    pub fn is_running(&self) -> bool {
        self.inner.server.process().ended().is_none()
    }

    /// The directory it was started in.
    pub fn dir(&self) -> &Path {
        &self.inner.cluster.dir
    }

    /// Kills the postmaster and all of its backends with SIGKILL; returns when they are gone.
    pub async fn kill(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.kill()).await
    }

    /// Shuts down fast but in order (transactions are rolled back, a checkpoint is written); kills after a bounded wait.
    pub async fn stop(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.stop()).await
    }

    /// Starts it again on the same data and port after [`kill`](Self::kill), [`stop`](Self::stop) or a crash.
    /// Does nothing when it runs.
    pub async fn start_again(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.start_again()).await
    }

    /// Waits until the postmaster that runs now has ended, for whatever reason.
    pub async fn wait_exit(&self) -> ExitStatus {
        self.inner.server.wait_exit().await
    }
}

impl Inner {
    fn kill(&self) -> Result<(), Error> {
        let _changing = self.server.change();
        self.cluster.kill(&self.server.process())
    }

    fn stop(&self) -> Result<(), Error> {
        let _changing = self.server.change();
        self.cluster.stop(&self.server.process())
    }

    fn start_again(&self) -> Result<(), Error> {
        let _changing = self.server.change();
        if self.server.process().ended().is_none() {
            return Ok(());
        }
        self.cluster.stop_left_over()?;
        let (_, process) = launch::launch(&self.cluster, &self.settings, Port::Again(self.port))?;
        self.server.replace(process);
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.inner.kill() {
            tracing::warn!(%error, "a private Postgres may be left running");
        }
    }
}
