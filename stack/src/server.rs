//! What Postgres and nats-server have in common as processes that are started, stopped and started again.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use parking_lot::{Mutex, MutexGuard};

use crate::Error;
use crate::error::Doing;
use crate::process::Process;

/// When a log has grown past this, the next start moves it aside (keeping one such).
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How much of the log an error shows.
const LOG_TAIL_BYTES: usize = 4 << 10;

/// The current process of a server, and the right to change it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Held for the length of a stop, kill or start, so that these never mix.
    changing: Mutex<()>,
    /// Held only to copy or replace the handle.
    process: Mutex<Process>,
}

impl Server {
    pub(crate) fn new(process: Process) -> Self {
        Self { changing: Mutex::new(()), process: Mutex::new(process) }
    }

    pub(crate) fn process(&self) -> Process {
        self.process.lock().clone()
    }

    pub(crate) fn replace(&self, process: Process) {
        *self.process.lock() = process;
    }

    pub(crate) fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    pub(crate) async fn wait_exit(&self) -> ExitStatus {
        let process = self.process();
        process.end().await
    }
}

/// The log file of a server, and where in it the current run began.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// Opens the log for another run.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let mut from = fs::metadata(&path).map_or(0, |meta| meta.len());
        if from > LOG_BYTES_MAX {
            fs::rename(&path, path.with_extension("log.old")).doing("moving aside", &path)?;
            from = 0;
        }
        Ok(Self { path, from })
    }

    /// Starts a command that writes into this log.
    pub(crate) fn spawn(&self, mut command: Command, death: Signal) -> Result<Process, Error> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path).doing("opening", &self.path)?;
        let copy = file.try_clone().doing("opening", &self.path)?;
        command.stdin(Stdio::null()).stdout(copy).stderr(file);
        let program = PathBuf::from(command.get_program());
        Process::spawn(command, death).doing("starting", &program)
    }

    /// What the current run has written so far.
    pub(crate) fn text(&self) -> String {
        let mut bytes = Vec::new();
        // A log that cannot be read says nothing; the error it was wanted for is reported anyway.
        if let Ok(mut file) = File::open(&self.path) {
            let _ = file.seek(SeekFrom::Start(self.from)).and_then(|_| file.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The error of a server that ended while starting.
    pub(crate) fn died(&self, what: &'static str, status: ExitStatus) -> Error {
        let text = self.text();
        let cut = text.ceil_char_boundary(text.len().saturating_sub(LOG_TAIL_BYTES));
        Error::Died { what, status: status.to_string(), log: self.path.clone(), tail: text[cut..].trim().to_owned() }
    }
}

/// The pid in the first line of a server's pid file.
pub(crate) fn pid_in(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1)
}
