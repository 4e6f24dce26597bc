//! A child process that cannot outlive us.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use std::{env, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Error;
use crate::blocking::wait_for;

/// A running, or ended, child process. Cloning gives another handle on the same one.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pid: i32,
    /// False once the child is reaped, from when on its pid may belong to anybody.
    signalable: Arc<Mutex<bool>>,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts the command (see [`tie_to_us`]) on a thread that then waits for it.
    ///
    /// The kernel ties a parent-death signal to the *thread* that forked, so that thread must live as long as the child;
    /// a thread of an async pool would not.
    pub(crate) fn spawn(mut command: Command, death: Signal) -> io::Result<Self> {
        tie_to_us(&mut command, death);
        let (started, start) = mpsc::sync_channel(1);
        let (ended, exit) = watch::channel(None);
        let signalable = Arc::new(Mutex::new(true));
        let reaping = Arc::clone(&signalable);
        thread::Builder::new().name("server".to_owned()).spawn(move || {
            let child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            // The receiver waits for exactly this message.
            let _ = started.send(Ok(child.id().cast_signed()));
            let status = reap(child, &reaping);
            let _ = ended.send(Some(status));
        })?;
        let pid = start.recv().map_err(io::Error::other)??;
        Ok(Self { pid, signalable, exit })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Signals the child, unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let signalable = self.signalable.lock();
        if *signalable {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for its end, from blocking code.
    pub(crate) fn wait_ended(&self, what: &str, deadline: Duration) -> Result<ExitStatus, Error> {
        wait_for(what, deadline, || Ok(self.ended()))
    }

    /// Waits for its end, however long it takes.
    pub(crate) async fn end(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.map(|status| *status);
        // The waiting thread sends before it goes; should it have panicked, the child counts as killed.
        ended.ok().flatten().unwrap_or_else(killed)
    }
}

/// Makes the command's process die with us, and keeps the terminal's Ctrl-C from it: who started it stops it in order.
pub(crate) fn tie_to_us(command: &mut Command, death: Signal) {
    // Settings of the caller's own Postgres clients are none of the server's business.
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").current_dir("/").process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = Pid::this();
        let die_with_parent = move || {
            nix::sys::prctl::set_pdeathsig(death)?;
            // Between fork and here the parent may have died; then nobody will signal us.
            if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        };
        #[allow(unsafe_code, reason = "between fork and exec: only async-signal-safe system calls, no allocation")]
        // SAFETY: the closure makes two plain system calls and touches no memory that another thread may hold locked.
        // std runs it after the change of user, which would have cleared the signal.
        unsafe {
            command.pre_exec(die_with_parent);
        }
    }
    // Elsewhere there is no such signal: the next start in the same directory stops what was left running.
    #[cfg(not(target_os = "linux"))]
    let _ = death;
}

fn reap(mut child: Child, signalable: &Mutex<bool>) -> ExitStatus {
    // First only wait, and reap under the lock: so no signal can go to a pid that is free again.
    #[cfg(target_os = "linux")]
    {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let pid = Pid::from_raw(child.id().cast_signed());
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::Error::EINTR) {}
        let mut signalable = signalable.lock();
        *signalable = false;
        child.wait().unwrap_or_else(|_| killed())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let status = child.wait().unwrap_or_else(|_| killed());
        *signalable.lock() = false;
        status
    }
}

fn killed() -> ExitStatus {
    use std::os::unix::process::ExitStatusExt;
    ExitStatus::from_raw(Signal::SIGKILL as i32)
}
