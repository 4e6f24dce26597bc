//! A private nats-server with JetStream.

mod config;
mod launch;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use crate::blocking::off_thread;
use crate::ownership::Ownership;
use crate::ports::Port;
use crate::server::Server;
use crate::{Error, find};

pub(crate) use config::Config;

/// When JetStream brings what it has acknowledged to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncInterval {
    /// Before each acknowledgement.
    Always,
    /// Every so often; a power cut (not a mere crash of the process) may cost that much of the tail.
    Every(Duration),
}

/// How to start a private nats-server.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// The directory of this server; created where needed. It comes to hold `jetstream/`, `nats.conf`, the passwords,
    /// `nats.log`, `nats.pid`, `lock`.
    pub dir: PathBuf,
    /// The binary; `None`: what [`find::nats_server`] finds.
    pub bin: Option<PathBuf>,
    /// The port on 127.0.0.1; `None`: any free one.
    pub port: Option<u16>,
    /// By default every 10 seconds: Postgres is the truth, and the relay repairs a lost tail of the stream from it.
    pub sync_interval: SyncInterval,
    /// The largest message taken, headers included. By default 1 MiB, as in nats-server itself.
    pub max_payload_bytes: u32,
    /// Further lines for the configuration file, at its top level.
    pub extra_config: String,
}

impl NatsOptions {
    /// Everything by default, in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            bin: None,
            port: None,
            sync_interval: SyncInterval::Every(Duration::from_secs(10)),
            max_payload_bytes: 1 << 20,
            extra_config: String::new(),
        }
    }
}

/// A private nats-server on 127.0.0.1 with two users, whose passwords are kept in its directory: `relay` may do
/// everything, `reader` may read the events but neither write them nor change streams.
///
/// Dropping it kills it at once; [`Nats::stop`] is the orderly way.
#[derive(Debug)]
pub struct Nats {
    inner: Arc<Inner>,
    /// The directory of a throw-away server, deleted once the server is dead.
    _throw_away: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Inner {
    bin: PathBuf,
    config: Config,
    port: u16,
    server: Server,
    _ownership: Ownership,
}

impl Nats {
    /// Starts nats-server; what an owner that vanished left running in the directory is stopped first.
    ///
    /// Returns when it answers, JetStream included.
    pub async fn start(options: NatsOptions) -> Result<Self, Error> {
        off_thread(move || Self::start_blocking(options, None)).await
    }

    pub(crate) fn start_blocking(options: NatsOptions, throw_away: Option<tempfile::TempDir>) -> Result<Self, Error> {
        let bin = match &options.bin {
            Some(path) => find::nats_server_at(path)?,
            None => find::nats_server()?,
        };
        let (ownership, dir) = Ownership::take(&options.dir)?;
        let port = options.port;
        let config = Config::open(dir, options)?;
        launch::stop_left_over(&config)?;
        let (port, process) = launch::launch(&bin, &config, Port::from(port))?;
        let server = Server::new(process);
        let inner = Arc::new(Inner { bin, config, port, server, _ownership: ownership });
        Ok(Self { inner, _throw_away: throw_away })
    }

    /// `nats://relay:PASSWORD@127.0.0.1:PORT`, who may do everything; the same for as long as this lives.
    pub fn url(&self) -> String {
        self.url_of("relay", &self.inner.config.relay_password)
    }

    /// `nats://reader:PASSWORD@127.0.0.1:PORT`, who may follow the events: run pull consumers (push consumers do not reach
    /// across accounts), look at streams and get messages, or plainly subscribe; but who can neither write to the
    /// stream nor create, change, purge or delete one.
    pub fn reader_url(&self) -> String {
        self.url_of("reader", &self.inner.config.reader_password)
    }

    fn url_of(&self, user: &str, password: &str) -> String {
        format!("nats://{user}:{password}@127.0.0.1:{}", self.inner.port)
    }

    /// The port on 127.0.0.1; the same for as long as this lives.
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// The process id of the (latest) server.
    pub fn pid(&self) -> u32 {
        self.inner.server.process().pid().cast_unsigned()
    }

    /// Whether the server runs.
    pub fn is_running(&self) -> bool {
        self.inner.server.process().ended().is_none()
    }

    /// The directory it was started in.
    pub fn dir(&self) -> &Path {
        &self.inner.config.dir
    }

    /// Where JetStream keeps its files: deleting it while the server is down loses every stream.
    pub fn store_dir(&self) -> PathBuf {
        self.inner.config.store_dir()
    }

    /// Kills it with SIGKILL; returns when it is gone.
    pub async fn kill(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.kill()).await
    }

    /// Shuts it down in order; kills it after a bounded wait.
    pub async fn stop(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.stop()).await
    }

    /// Starts it again on the same store and port after [`kill`](Self::kill), [`stop`](Self::stop) or a crash.
    /// Does nothing when it runs.
    pub async fn start_again(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.start_again()).await
    }

    /// Waits until the server that runs now has ended, for whatever reason.
    pub async fn wait_exit(&self) -> ExitStatus {
        self.inner.server.wait_exit().await
    }
}

impl Inner {
    fn kill(&self) -> Result<(), Error> {
        let _changing = self.server.change();
        launch::kill(&self.server.process())
    }

    fn stop(&self) -> Result<(), Error> {
        let _changing = self.server.change();
        launch::stop(&self.server.process())
    }

    fn start_again(&self) -> Result<(), Error> {
        let _changing = self.server.change();
        if self.server.process().ended().is_none() {
            return Ok(());
        }
        launch::stop_left_over(&self.config)?;
        let (_, process) = launch::launch(&self.bin, &self.config, Port::Again(self.port))?;
        self.server.replace(process);
        Ok(())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Err(error) = self.inner.kill() {
            tracing::warn!(%error, "a private nats-server may be left running");
        }
    }
}
