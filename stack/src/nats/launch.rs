use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Config;
use crate::blocking::wait_for;
use crate::ports::Port;
use crate::process::Process;
use crate::server::{Log, pid_in};
use crate::{Error, ports, processes};

/// JetStream may have to check a large store first.
const READY_MAX: Duration = Duration::from_mins(1);
const STOP_MAX: Duration = Duration::from_secs(15);
const KILL_MAX: Duration = Duration::from_secs(10);
/// How long a server that listens may take over one answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What a nats-server gets when we die. What it has written is in the page cache, so killing it loses nothing, and is
/// certain.
const DEATH: Signal = Signal::SIGKILL;

/// Starts a server and waits until it answers.
pub(super) fn launch(bin: &Path, config: &Config, port: Port) -> Result<(u16, Process), Error> {
    port.bind(|port| try_once(bin, config, port))
}

/// `None`: the port belongs to somebody else.
fn try_once(bin: &Path, config: &Config, port: u16) -> Result<Option<Process>, Error> {
    config.write(port)?;
    let mut command = Command::new(bin);
    command.arg("--config").arg(config.path());
    let log = Log::open(config.dir.join("nats.log"))?;
    let process = log.spawn(command, DEATH)?;
    let started = wait_for("nats-server to answer", READY_MAX, || match process.ended() {
        Some(_) if ports::is_taken(&log.text()) => Ok(Some(None)),
        Some(status) => Err(log.died("nats-server", status)),
        // Only our own server knows the password, so what answers is not somebody else on the same port.
        None => Ok(answers(port, &config.relay_password).then(|| Some(process.clone()))),
    });
    match started {
        Err(Error::Deadline { what, waited, .. }) => {
            kill(&process)?;
            Err(Error::Deadline { what, waited, detail: format!("; its log says:\n{}", log.text()) })
        }
        started => started,
    }
}

/// Whether a server on that port lets `relay` in and answers its PING. It listens only once JetStream is up.
fn answers(port: u16, password: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"user\":\"relay\",\"pass\":\"{password}\"}}\r\nPING\r\n"
        );
        stream.write_all(hello.as_bytes())?;
        for line in BufReader::new(stream).lines() {
            match line?.as_str() {
                "PONG" => return Ok(true),
                refusal if refusal.starts_with("-ERR") => return Ok(false),
                _info => {}
            }
        }
        Err(ErrorKind::UnexpectedEof.into())
    };
    ask().unwrap_or(false)
}

/// Stops a server that still runs in this directory although its owner is gone.
pub(super) fn stop_left_over(config: &Config) -> Result<(), Error> {
    let Some(pid) = pid_in(&config.pid_file()) else { return Ok(()) };
    // The pid may long belong to another program.
    let path = config.path().display().to_string();
    if !processes::is_alive(pid) || !processes::command_line(pid).contains(&path) {
        return Ok(());
    }
    tracing::warn!(pid, config = path, "stopping a nats-server whose owner is gone");
    let gone = |deadline| {
        wait_for("a left over nats-server to end", deadline, || Ok((!processes::is_alive(pid)).then_some(())))
    };
    processes::signal(pid, Signal::SIGTERM);
    if gone(STOP_MAX).is_ok() {
        return Ok(());
    }
    processes::signal(pid, Signal::SIGKILL);
    gone(KILL_MAX)
}

pub(super) fn kill(process: &Process) -> Result<(), Error> {
    process.signal(Signal::SIGKILL);
    process.wait_ended("nats-server to end after SIGKILL", KILL_MAX).map(drop)
}

pub(super) fn stop(process: &Process) -> Result<(), Error> {
    process.signal(Signal::SIGTERM);
    if let Err(error) = process.wait_ended("nats-server to shut down", STOP_MAX) {
        tracing::warn!(%error, "killing nats-server");
        kill(process)?;
    }
    Ok(())
}
