//! The binary as a child process that does not outlive the test.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use nix::unistd::User;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Names the binary to test; by default the one of the build that the test is of.
const BINARY: &str = "BOXOFFICE_BIN";

/// What is said on stdout once the system answers.
const READY: &str = "ready http://";

/// Ports below those that systems give out for outgoing connections, so that none of these can take it meanwhile.
const PORTS: std::ops::Range<u16> = 10_240..32_768;
/// Ports tried before giving up.
const PORT_PICKS_MAX: usize = 100;

/// Environment that would speak for another system than the one under test.
const NOT_OURS: [&str; 7] = [
    "DATABASE_URL",
    "NATS_URL",
    "MYPAGE_PATH",
    "SEAL_KEY_PATH",
    "PROVIDER_URL",
    "PROVIDER_TIMEOUT_MS",
    "BOXOFFICE_DATA",
];

/// A started `boxoffice up`.
pub struct Started {
    /// The process; leader of its own group, as if started from a terminal.
    pub child: Child,
    /// Everything after `ready `; ends without a value when stdout closes first.
    pub ready: oneshot::Receiver<String>,
    /// Ends with the process.
    pub stdout: JoinHandle<()>,
}

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os(BINARY) {
        return path.into();
    }
    let executable = env::current_exe().unwrap();
    let target = executable.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).expect("a target directory");
    let path = target.join("debug/boxoffice");
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build -p api --bin boxoffice`, or `./dev test`",
        path.display()
    );
    path
}

/// A command of the binary that sees none of our own environment's settings.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for name in NOT_OURS {
        command.env_remove(name);
    }
    command
}

/// A port of loopback that nobody listens on, picked at random so that tests that run together do not race for it.
pub fn free_port() -> u16 {
    let mut picks = std::iter::repeat_with(|| {
        let [a, b, ..] = Uuid::new_v4().into_bytes();
        PORTS.start + u16::from_be_bytes([a, b]) % (PORTS.end - PORTS.start)
    });
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    picks.by_ref().take(PORT_PICKS_MAX).find(is_free).expect("a free port")
}

/// Starts `boxoffice up --data DIR --listen 127.0.0.1:PORT --no-demo`, stderr going to the end of a file; as another user
/// where one is given.
pub fn up(data: &Path, port: u16, stderr: &Path, user: Option<&User>) -> Started {
    let mut command = command();
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir("/");
    }
    command.arg("up").arg("--data").arg(data).args(["--listen", &format!("127.0.0.1:{port}"), "--no-demo"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    command.stderr(File::options().create(true).append(true).open(stderr).unwrap());
    die_with_us(&mut command);
    let (started, start) = mpsc::sync_channel(1);
    let (say_ready, ready) = oneshot::channel();
    // The kernel ties "die with your parent" to the thread that forks, so that thread stays until the child has ended.
    let stdout = thread::spawn(move || {
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        started.send(child).unwrap();
        if let Some(line) = lines.find(|line| line.starts_with(READY)) {
            let _ = say_ready.send(line["ready ".len()..].trim().to_owned());
        }
        lines.for_each(drop);
    });
    Started { child: start.recv().expect("the binary starts"), ready, stdout }
}

/// A test that is itself killed leaves nothing running.
fn die_with_us(command: &mut Command) {
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "between fork and exec: one async-signal-safe system call, no allocation")]
    // SAFETY: the closure makes a plain system call and touches no memory that another thread may hold locked.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}
