//! Which processes there are, seen from outside: from `/proc` on Linux, from `ps` elsewhere.

use std::path::Path;

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// Signals one process; that it is gone already is fine.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Signals a whole process group, as a terminal does; that it is gone already is fine.
pub fn signal_group(leader: i32, signal: Signal) {
    let _ = killpg(Pid::from_raw(leader), signal);
}

/// Whether the process still runs. A zombie does not: it only waits to be reaped.
pub fn alive(pid: i32) -> bool {
    platform::alive(pid)
}

/// The living processes that name `dir` on their command line or work in it, ourselves aside.
pub fn belonging_to(dir: &Path) -> Vec<i32> {
    let ourselves = std::process::id().cast_signed();
    platform::all().into_iter().filter(|&pid| pid != ourselves && alive(pid) && platform::belongs(pid, dir)).collect()
}

#[cfg(target_os = "linux")]
mod platform {
    use std::{fs, path::Path};

    pub fn alive(pid: i32) -> bool {
        // After the name, which may itself hold spaces and parentheses, comes the state.
        let state = |stat: String| stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(state).is_some_and(|state| !"ZX".contains(state))
    }

    pub fn all() -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    pub fn belongs(pid: i32, dir: &Path) -> bool {
        let named = fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&dir.display().to_string()));
        named || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::{path::Path, process::Command};

    fn ps(arguments: &[&str]) -> String {
        String::from_utf8_lossy(&Command::new("ps").args(arguments).output().unwrap().stdout).trim().to_owned()
    }

    pub fn alive(pid: i32) -> bool {
        let state = ps(&["-o", "stat=", "-p", &pid.to_string()]);
        !state.is_empty() && !state.starts_with('Z')
    }

    pub fn all() -> Vec<i32> {
        ps(&["-A", "-o", "pid="]).lines().filter_map(|pid| pid.trim().parse().ok()).collect()
    }

    pub fn belongs(pid: i32, dir: &Path) -> bool {
        ps(&["-ww", "-o", "command=", "-p", &pid.to_string()]).contains(&dir.display().to_string())
    }
}
