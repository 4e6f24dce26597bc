//! A whole system of its own for a test: `boxoffice up` in a directory that goes with it.

use std::{
    fs,
    os::unix::fs::chown,
    path::PathBuf,
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::User};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{
    Client, Fan, SOON, eventually,
    launch::{self, Started},
    processes::{belonging_to, signal, signal_group},
    settings::Settings,
};

/// From nothing to `ready`: two servers are started, the first time created. Generous, as tests share two cores.
const READY_MAX: Duration = Duration::from_secs(90);
/// What is killed is gone at once; the kernel only has to notice.
const GONE_MAX: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Lines of stderr that a failed test shows.
const STDERR_LINES: usize = 60;

/// A running (or stopped) system. Dropping it kills it with all its processes and deletes its directory.
pub struct Boxoffice {
    dir: TempDir,
    port: u16,
    user: Option<User>,
    up: Option<Started>,
    settings: Settings,
}

/// One of the two servers that `up` keeps.
#[derive(Clone, Copy, Debug)]
pub enum Server {
    /// The truth.
    Postgres,
    /// The mirror.
    Nats,
}

impl Boxoffice {
    /// A fresh one that answers.
    pub async fn start() -> Self {
        let mut this = Self::new();
        this.start_again().await;
        this
    }

    /// One that was never started.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("boxoffice-up-").tempdir().unwrap();
        Self { dir, port: launch::free_port(), user: None, up: None, settings: Settings::default() }
    }

    /// One that another user than ours will start.
    pub fn of(user: User) -> Self {
        let mut this = Self::new();
        chown(this.dir.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        this.user = Some(user);
        this
    }

    /// Starts it, and kills it as soon as `file` is in its data directory.
    pub async fn start_and_kill_at(&mut self, file: &str) {
        let path = self.data().join(file);
        self.launch();
        eventually(&format!("{}", path.display()), READY_MAX, async || path.exists()).await;
        self.kill();
    }

    fn launch(&mut self) -> &mut Started {
        assert!(self.up.is_none(), "it runs already");
        let stderr = self.dir.path().join("stderr");
        self.up.insert(launch::up(&self.data(), self.port, &stderr, self.user.as_ref()))
    }

    /// Starts it on the data it has, and waits until it says that it is ready.
    pub async fn start_again(&mut self) {
        let started = self.launch();
        let waited = timeout(READY_MAX, &mut started.ready).await;
        let url = waited.expect("`ready` in time").expect("`ready` before stdout closes");
        self.settings = Settings::read(&self.data().join("env"));
        assert_eq!(self.settings.get("BOXOFFICE_URL").trim_end_matches('/'), url.trim_end_matches('/'));
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A value of its `env` file.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name)
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> Client {
        Client::new(self.setting("BOXOFFICE_URL"))
    }

    /// The organizer that every system has.
    pub async fn organizer(&self) -> Client {
        let (email, password) = (self.setting("ORGANIZER_EMAIL"), self.setting("ORGANIZER_PASSWORD"));
        self.anonymous().sign_in(email, password).await.ok(200).token_client(&self.anonymous())
    }

    /// A fan who has just signed up and in.
    pub async fn fan(&self) -> Fan {
        Fan::sign_up(&self.anonymous()).await
    }

    /// Many of them.
    pub async fn fans(&self, count: usize) -> Vec<Fan> {
        Fan::sign_up_many(&self.anonymous(), count).await
    }

    /// Its Postgres, to look into.
    pub async fn postgres(&self) -> PgPool {
        PgPoolOptions::new().max_connections(2).connect(self.setting("DATABASE_URL")).await.unwrap()
    }

    /// The process id of one of its servers, from the file that the server itself keeps.
    pub fn server_pid(&self, server: Server) -> Option<i32> {
        let file = match server {
            Server::Postgres => self.data().join("postgres/data/postmaster.pid"),
            Server::Nats => self.data().join("nats/nats.pid"),
        };
        fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
    }

    /// SIGKILL for one of its servers.
    pub fn kill_server(&self, server: Server) -> i32 {
        let pid = self.server_pid(server).expect("the server runs");
        signal(pid, Signal::SIGKILL);
        pid
    }

    /// A signal to `up` and whatever shares its process group, as Ctrl-C in a terminal sends it.
    pub fn interrupt(&self, signal: Signal) {
        signal_group(self.up.as_ref().expect("it runs").child.id().cast_signed(), signal);
    }

    /// SIGKILL for `up` itself, and for nothing else; returns once it is reaped.
    pub fn kill(&mut self) {
        let Some(Started { mut child, stdout, ready: _ }) = self.up.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
        let _ = stdout.join();
    }

    /// Waits until `up` has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let Started { mut child, stdout, ready: _ } = self.up.take().expect("it runs");
        let mut status = None;
        let mut look = || {
            status = child.try_wait().unwrap();
            status.is_some()
        };
        eventually("`up` to end", SOON, || std::future::ready(look())).await;
        let _ = stdout.join();
        status.unwrap()
    }

    /// Every process that belongs to its data.
    pub fn processes(&self) -> Vec<i32> {
        belonging_to(&self.data())
    }

    /// Whether there is none within the time that what was killed may take to vanish.
    fn all_gone(&self) -> bool {
        let start = Instant::now();
        while !self.processes().is_empty() {
            if start.elapsed() > GONE_MAX {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
        true
    }
}

impl Drop for Boxoffice {
    fn drop(&mut self) {
        if thread::panicking() {
            let stderr = self.stderr();
            let lines: Vec<&str> = stderr.lines().collect();
            eprintln!(
                "--- what it said last ---\n{}\n---",
                lines[lines.len().saturating_sub(STDERR_LINES)..].join("\n")
            );
        }
        if let Some(up) = &self.up {
            signal_group(up.child.id().cast_signed(), Signal::SIGKILL);
        }
        self.kill();
        if !self.all_gone() {
            for pid in self.processes() {
                eprintln!("process {pid} outlived its system and is killed");
                signal(pid, Signal::SIGKILL);
            }
            self.all_gone();
        }
    }
}
