use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{DATABASE, USER};
use crate::blocking::wait_for;
use crate::error::Doing;
use crate::find::PostgresBinaries;
use crate::process::{Process, tie_to_us};
use crate::run_as::RunAs;
use crate::server::pid_in;
use crate::{Error, processes, secret};

/// A fast shutdown writes a checkpoint, which may take a while on a slow disk.
const STOP_MAX: Duration = Duration::from_secs(30);
/// After SIGKILL only the kernel has work to do.
const KILL_MAX: Duration = Duration::from_secs(10);

/// The data directory of a Postgres, the user it belongs to, and the binaries that work on it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) dir: PathBuf,
    pub(crate) binaries: PostgresBinaries,
    pub(crate) password: String,
    run_as: RunAs,
}

impl Cluster {
    /// `dir` is canonical, and ours.
    pub(crate) fn open(dir: PathBuf, binaries: PostgresBinaries) -> Result<Self, Error> {
        let run_as = RunAs::for_postgres()?;
        let password = secret::kept_in(&dir.join("password"))?;
        Ok(Self { dir, binaries, password, run_as })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A command of the Postgres installation, to be run as the user whom the data belongs to.
    pub(crate) fn command(&self, name: &str) -> Result<Command, Error> {
        self.run_as.command(&self.binaries.dir.join(name), &self.data(), Self::death())
    }

    /// What a postmaster gets when we die: SIGQUIT makes it end its backends and itself at once, without a checkpoint.
    /// SIGKILL would leave the backends behind, which only notice after their current query, and which keep the next
    /// postmaster from starting meanwhile.
    pub(crate) fn death() -> Signal {
        Signal::SIGQUIT
    }

    /// Runs `initdb` and creates the database, unless that was done before; checks the version otherwise.
    pub(crate) fn create_if_new(&self) -> Result<(), Error> {
        match fs::read_to_string(self.data().join("PG_VERSION")) {
            Ok(has) => self.check_version(has.trim()),
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(),
            Err(source) => Err(Error::Io { doing: format!("reading {}", self.data().display()), source }),
        }
    }

    fn check_version(&self, has: &str) -> Result<(), Error> {
        let binaries = self.binaries.version.clone();
        let same = binaries.split_whitespace().any(|word| {
            word.strip_prefix(has).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        });
        let other = || Error::OtherVersion { dir: self.data(), has: has.to_owned(), binaries };
        if same { Ok(()) } else { Err(other()) }
    }

    /// Creates the data directory under another name first, so that one with the right name is always complete.
    fn create(&self) -> Result<(), Error> {
        let draft = self.dir.join("data.new");
        self.make_data_dir(&draft)?;
        let password_file = self.dir.join("password");
        self.run_as.give(&password_file)?;
        let mut initdb = self.command("initdb")?;
        initdb.arg("--pgdata").arg(&draft).arg("--pwfile").arg(&password_file);
        initdb.args([
            "--username",
            USER,
            "--encoding=UTF8",
            "--no-locale",
            "--auth=scram-sha-256",
            "--no-instructions",
        ]);
        run(initdb, None)?;
        self.run_sql(&draft, "postgres", &format!("CREATE DATABASE {DATABASE};\n"))?;
        fs::rename(&draft, self.data()).doing("creating", &self.data())
    }

    /// Runs statements, one a line, in single-user mode: there need be no `psql`, and no server to connect to.
    fn run_sql(&self, data: &Path, database: &str, statements: &str) -> Result<(), Error> {
        let mut single = self.command("postgres")?;
        single.args(["--single", "-D"]).arg(data).arg(database);
        run(single, Some(statements))
    }

    fn make_data_dir(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_dir_all(path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(Error::Io { doing: format!("removing {}", path.display()), source });
            }
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(path).doing("creating", path)?;
        self.run_as.give(path)
    }

    /// Takes out what tests do without, so that a copy is quick: two of the four databases.
    pub(crate) fn slim(&self) -> Result<(), Error> {
        let statements = "DROP DATABASE IF EXISTS postgres;\n\
            UPDATE pg_database SET datistemplate = false WHERE datname = 'template0';\n\
            DROP DATABASE IF EXISTS template0;\n";
        self.run_sql(&self.data(), DATABASE, statements)
    }

    /// Copies the data of another, stopped cluster with the same password.
    pub(crate) fn copy_from(&self, template: &Path) -> Result<(), Error> {
        self.copy_dir(template, &self.data())
    }

    fn copy_dir(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.make_data_dir(to)?;
        for entry in fs::read_dir(from).doing("reading", from)? {
            let entry = entry.doing("reading", from)?;
            let target = to.join(entry.file_name());
            if entry.file_type().doing("reading", from)?.is_dir() {
                self.copy_dir(&entry.path(), &target)?;
            } else {
                copy_file(&entry.path(), &target).doing("copying to", &target)?;
                self.run_as.give(&target)?;
            }
        }
        Ok(())
    }

    /// Stops what still runs on this data although its owner is gone.
    pub(crate) fn stop_left_over(&self) -> Result<(), Error> {
        let pid_file = self.data().join("postmaster.pid");
        if let Some(pid) = pid_in(&pid_file).filter(|&pid| processes::is_alive(pid)) {
            let data = self.data().display().to_string();
            if processes::command_line(pid).contains(&format!("-D {data} ")) {
                tracing::warn!(pid, %data, "stopping a Postgres whose owner is gone");
                let backends = processes::children(pid);
                processes::signal(pid, Signal::SIGQUIT);
                if wait_gone(&[pid], STOP_MAX).is_err() {
                    processes::signal(pid, Signal::SIGKILL);
                }
                wait_gone(&[pid], KILL_MAX)?;
                processes::signal_all(&backends, Signal::SIGKILL);
                wait_gone(&backends, KILL_MAX)?;
            } else {
                self.kill_orphans()?;
                // The pid now belongs to an unrelated process, whose existence would keep Postgres from starting.
                // (A file with a dead pid stays: Postgres also finds in it the shared memory of backends left behind.)
                fs::remove_file(&pid_file).doing("removing", &pid_file)?;
            }
        }
        self.kill_orphans()
    }

    /// Backends whose postmaster is gone; every process of Postgres works in its data directory.
    fn kill_orphans(&self) -> Result<(), Error> {
        let orphans = processes::working_in(&self.data());
        processes::signal_all(&orphans, Signal::SIGKILL);
        wait_gone(&orphans, KILL_MAX)
    }

    /// Kills a postmaster and its backends.
    pub(crate) fn kill(&self, postmaster: &Process) -> Result<(), Error> {
        if postmaster.ended().is_none() {
            // Stopped, it cannot fork another backend while we look for those that it has.
            postmaster.signal(Signal::SIGSTOP);
            let backends = processes::children(postmaster.pid());
            postmaster.signal(Signal::SIGKILL);
            processes::signal_all(&backends, Signal::SIGKILL);
            postmaster.wait_ended("Postgres to end after SIGKILL", KILL_MAX)?;
            wait_gone(&backends, KILL_MAX)?;
        }
        self.kill_orphans()
    }

    /// Shuts a postmaster down; kills it when that takes too long.
    pub(crate) fn stop(&self, postmaster: &Process) -> Result<(), Error> {
        postmaster.signal(Signal::SIGINT);
        if let Err(error) = postmaster.wait_ended("Postgres to shut down", STOP_MAX) {
            tracing::warn!(%error, "killing Postgres");
            self.kill(postmaster)?;
        }
        Ok(())
    }
}

/// Copies a file. Zero pages at its end become a hole: a fresh log segment is 16 MiB of hardly anything else.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    const PAGE: [u8; 4096] = [0; 4096];
    let bytes = fs::read(from)?;
    let empty = bytes.rchunks_exact(PAGE.len()).take_while(|page| *page == PAGE).count();
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    copy.write_all(&bytes[..bytes.len() - empty * PAGE.len()])?;
    copy.set_len(bytes.len() as u64)
}

fn wait_gone(pids: &[i32], deadline: Duration) -> Result<(), Error> {
    let what = format!("the Postgres processes {pids:?} to end");
    wait_for(&what, deadline, || Ok((!pids.iter().any(|&pid| processes::is_alive(pid))).then_some(())))
}

/// Runs a command to its end; its output is the error when it fails.
fn run(mut command: Command, input: Option<&str>) -> Result<(), Error> {
    tie_to_us(&mut command, Signal::SIGKILL);
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().doing("starting", &program)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Should it end without reading, its status tells.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    }
    let output = child.wait_with_output().doing("running", &program)?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    // Single-user Postgres goes on after a failed statement, and exits with 0.
    if output.status.success() && !text.contains("ERROR:") {
        return Ok(());
    }
    let command = format!("{command:?}");
    Err(Error::Command { command, status: output.status.to_string(), output: text.trim().to_owned() })
}
