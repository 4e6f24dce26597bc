//! What other processes are doing: from `/proc` on Linux, from `ps` elsewhere.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal to a process that is not our child. That it is gone already is fine.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Sends a signal to several such processes.
pub(crate) fn signal_all(pids: &[i32], what: Signal) {
    for &pid in pids {
        signal(pid, what);
    }
}

/// Whether the process still runs. A zombie does not: it only waits for its parent, which may be an idle init.
pub(crate) fn is_alive(pid: i32) -> bool {
    platform::state(pid).is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// The command line of a living process, words separated by spaces; empty when there is none.
pub(crate) fn command_line(pid: i32) -> String {
    platform::command_line(pid).unwrap_or_default()
}

/// The living children of a process: for a postmaster, all of its backends.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    platform::all().into_iter().filter(|&(_, ppid)| ppid == parent).map(|(pid, _)| pid).collect()
}

/// The living processes whose working directory is `dir`, as far as the system lets us see them.
pub(crate) fn working_in(dir: &Path) -> Vec<i32> {
    let here = |pid: i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir);
    platform::all().into_iter().map(|(pid, _)| pid).filter(|&pid| here(pid) && is_alive(pid)).collect()
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;

    /// The fields of `/proc/PID/stat` after the name, which may itself hold spaces and parentheses: state, parent, …
    fn stat(pid: i32) -> Option<(String, i32)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
    }

    pub(super) fn state(pid: i32) -> Option<String> {
        stat(pid).map(|(state, _)| state)
    }

    pub(super) fn command_line(pid: i32) -> Option<String> {
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(String::from_utf8_lossy(&words).replace('\0', " "))
    }

    pub(super) fn all() -> Vec<(i32, i32)> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Some((pid, stat(pid)?.1))).collect()
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::process::Command;

    fn ps(arguments: &[&str]) -> Option<String> {
        let output = Command::new("ps").args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn state(pid: i32) -> Option<String> {
        ps(&["-o", "stat=", "-p", &pid.to_string()])
    }

    pub(super) fn command_line(pid: i32) -> Option<String> {
        ps(&["-ww", "-o", "command=", "-p", &pid.to_string()])
    }

    pub(super) fn all() -> Vec<(i32, i32)> {
        let text = ps(&["-A", "-o", "pid=,ppid="]).unwrap_or_default();
        let pair = |line: &str| {
            let mut fields = line.split_whitespace().map(str::parse);
            Some((fields.next()?.ok()?, fields.next()?.ok()?))
        };
        text.lines().filter_map(pair).collect()
    }
}
