//! The product as its users have it: the release binary, on a private Postgres and nats-server.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd,
};

use crate::{
    error::{Doing as _, Error},
    processes::Pid,
};

/// Names the binary to measure; by default the one beside our own.
const BINARY: &str = "BOXOFFICE_BIN";
/// What it says on stdout once it answers.
const READY: &str = "ready http://";
/// How long it may take to stop in order before it is killed.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How often we look whether it has.
const STOP_PAUSE: Duration = Duration::from_millis(20);
/// Lines of its log that are shown.
const LOG_LINES_SHOWN: usize = 20;
/// Environment that would speak for another system.
const NOT_OURS: [&str; 6] =
    ["DATABASE_URL", "NATS_URL", "NATS_READER_URL", "MYPAGE_PATH", "PROVIDER_URL", "PROVIDER_SECRET"];

/// A running `boxoffice up`; killed when dropped.
pub(crate) struct Product {
    pub address: SocketAddr,
    data: PathBuf,
    child: Child,
    /// Kept open: it may have more to say.
    stdout: Option<BufReader<ChildStdout>>,
    settings: HashMap<String, String>,
}

impl Product {
    /// Starts it on `data`, and waits until it is ready.
    pub fn start(data: &Path) -> Result<Self, Error> {
        let binary = binary()?;
        fs::create_dir_all(data).doing(format!("creating {}", data.display()))?;
        let log = log_of(data);
        let mut command = Command::new(&binary);
        for name in NOT_OURS {
            command.env_remove(name);
        }
        let address = free_address().doing("finding a free port")?;
        command.arg("up").arg("--data").arg(data).args(["--listen", &address.to_string(), "--no-demo"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(&log).doing(format!("creating {}", log.display()))?);
        die_with_us(&mut command);
        let mut child = command.spawn().doing(format!("starting {}", binary.display()))?;
        let stdout = child.stdout.take().map(BufReader::new);
        let mut product = Self { address, data: data.to_owned(), child, stdout, settings: HashMap::new() };
        if !product.says_ready() {
            return Err(Error::NotReady(product.log_lines(|_| true).join("\n")));
        }
        let env = fs::read_to_string(data.join("env")).doing("reading the product's `env`")?;
        let assignments = env.lines().filter_map(|line| line.split_once('='));
        product.settings = assignments.map(|(name, value)| (name.into(), value.trim_matches('\'').into())).collect();
        Ok(product)
    }

    fn says_ready(&mut self) -> bool {
        self.stdout
            .iter_mut()
            .flat_map(|stdout| stdout.lines().map_while(Result::ok))
            .any(|line| line.starts_with(READY))
    }

    /// A value of its `env`.
    pub fn setting(&self, name: &'static str) -> Result<&str, Error> {
        self.settings.get(name).map(String::as_str).ok_or(Error::NoSetting(name))
    }

    /// A command of the binary about this product, which it finds by its data directory.
    pub fn command(&self, arguments: &[&str]) -> Result<Command, Error> {
        let mut command = Command::new(binary()?);
        for name in NOT_OURS {
            command.env_remove(name);
        }
        command.args(arguments).env("BOXOFFICE_DATA", &self.data).stdin(Stdio::null());
        die_with_us(&mut command);
        Ok(command)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The product's own process.
    pub fn pid(&self) -> Pid {
        self.child.id()
    }

    /// The postmaster.
    pub fn postgres_pid(&self) -> Option<Pid> {
        pid_in(&self.data.join("postgres/data/postmaster.pid"))
    }

    /// The nats-server.
    pub fn nats_pid(&self) -> Option<Pid> {
        pid_in(&self.data.join("nats/nats.pid"))
    }

    /// Warnings and errors that it wrote to its log; the last ones.
    pub fn complaints(&self) -> Vec<String> {
        self.log_lines(|line| line.contains("WARN") || line.contains("ERROR") || line.contains("panicked"))
    }

    fn log_lines(&self, of_interest: impl Fn(&str) -> bool) -> Vec<String> {
        let log = fs::read_to_string(log_of(&self.data)).unwrap_or_default();
        let mut lines: Vec<_> = log.lines().filter(|line| of_interest(line)).map(str::to_owned).collect();
        lines.split_off(lines.len().saturating_sub(LOG_LINES_SHOWN))
    }

    /// Stops it in order, within a bound.
    pub fn stop(mut self) -> Result<(), Error> {
        let pid = unistd::Pid::from_raw(self.pid().cast_signed());
        let _gone_already = kill(pid, Signal::SIGTERM);
        let begin = Instant::now();
        while self.child.try_wait().doing("waiting for boxoffice to stop")?.is_none() {
            if begin.elapsed() > STOP_MAX {
                return Err(Error::Waited { what: "boxoffice to stop", max: STOP_MAX, state: "running".to_owned() });
            }
            std::thread::sleep(STOP_PAUSE);
        }
        Ok(())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // Its servers end with it.
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The binary to measure.
fn binary() -> Result<PathBuf, Error> {
    let path = match env::var_os(BINARY) {
        Some(path) => PathBuf::from(path),
        None => env::current_exe().doing("finding our own executable")?.with_file_name("boxoffice"),
    };
    if path.is_file() { Ok(path) } else { Err(Error::NoBinary(path)) }
}

/// An address of loopback that nobody listens on now.
pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn log_of(data: &Path) -> PathBuf {
    data.join("boxoffice.log")
}

fn pid_in(file: &Path) -> Option<Pid> {
    fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}

/// A benchmark that is itself killed leaves nothing running. (The kernel ties this to the thread that starts the
/// process; ours is the main one.)
pub(crate) fn die_with_us(command: &mut Command) {
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "between fork and exec: one async-signal-safe system call, no allocation")]
    // SAFETY: the closure makes a plain system call and touches no memory that another thread may hold locked.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}
