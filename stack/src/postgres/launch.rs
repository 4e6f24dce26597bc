use std::fs;
use std::time::Duration;

use super::Cluster;
use crate::blocking::wait_for;
use crate::ports::Port;
use crate::process::Process;
use crate::server::Log;
use crate::{Error, ports};

/// Crash recovery may have much to replay.
const READY_MAX: Duration = Duration::from_mins(2);
/// How long backends of a killed predecessor may take to notice.
const OLD_BACKENDS_MAX: Duration = Duration::from_secs(10);

/// Why a start failed.
enum Failed {
    /// The port belongs to somebody else.
    PortTaken,
    /// Backends of a killed predecessor are not gone yet.
    OldBackends,
    /// Another try would not help.
    ForGood(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::ForGood(error)
    }
}

/// Starts a postmaster and waits until it accepts connections.
pub(super) fn launch(cluster: &Cluster, settings: &[(String, String)], port: Port) -> Result<(u16, Process), Error> {
    port.bind(|port| {
        wait_for("the processes of an earlier Postgres to end", OLD_BACKENDS_MAX, || {
            match try_once(cluster, settings, port) {
                Ok(process) => Ok(Some(Some(process))),
                Err(Failed::PortTaken) => Ok(Some(None)),
                Err(Failed::OldBackends) => Ok(None),
                Err(Failed::ForGood(error)) => Err(error),
            }
        })
    })
}

fn try_once(cluster: &Cluster, settings: &[(String, String)], port: u16) -> Result<Process, Failed> {
    let data = cluster.data();
    let mut command = cluster.command("postgres")?;
    command.arg("-D").arg(&data);
    let port_text = port.to_string();
    let ours = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port_text),
        // No Unix sockets: their paths are limited to 107 bytes, and a shared directory is not private.
        ("unix_socket_directories", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("logging_collector", "off"),
    ];
    let theirs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in ours.into_iter().chain(theirs) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let log = Log::open(cluster.dir.join("postgres.log"))?;
    let process = log.spawn(command, Cluster::death())?;
    let pid_file = data.join("postmaster.pid");
    let ready = wait_for("Postgres to accept connections", READY_MAX, || {
        if let Some(status) = process.ended() {
            return Err(log.died("Postgres", status));
        }
        // Line 1 is the pid, line 8 the state; see src/include/utils/pidfile.h in the source of Postgres.
        let text = fs::read_to_string(&pid_file).unwrap_or_default();
        let mut lines = text.lines();
        let ours = lines.next().is_some_and(|pid| pid.trim() == process.pid().to_string());
        Ok((ours && lines.nth(6).is_some_and(|state| state.trim() == "ready")).then_some(()))
    });
    match ready {
        Ok(()) => Ok(process),
        Err(error @ Error::Died { .. }) => {
            let text = log.text();
            if ports::is_taken(&text) {
                Err(Failed::PortTaken)
            } else if text.contains("pre-existing shared memory block") {
                Err(Failed::OldBackends)
            } else {
                Err(Failed::ForGood(error))
            }
        }
        Err(error) => {
            cluster.kill(&process)?;
            Err(Failed::ForGood(error))
        }
    }
}
