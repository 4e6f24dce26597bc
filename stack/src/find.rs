//! Where the Postgres and nats-server binaries are, and whether they are new enough.
//!
//! The order: what the environment names; what `./dev tools` installed into the checkout (`.boxoffice/tools/bin`, looked
//! for from the working directory and from this executable upward); `PATH`; the usual places of Debian and Homebrew.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::error::Doing;

/// Names the directory with `postgres` and `initdb`.
pub const POSTGRES_BIN: &str = "BOXOFFICE_POSTGRES_BIN";
/// Names the nats-server binary.
pub const NATS_SERVER: &str = "BOXOFFICE_NATS_SERVER";

const POSTGRES_MAJOR_MIN: u32 = 14;
/// Below this, JetStream lacks what the stream needs.
const NATS_REFUSED_BELOW: (u32, u32, u32) = (2, 10, 0);
/// Below this, known security holes are open.
const NATS_WARNED_BELOW: (u32, u32, u32) = (2, 12, 7);

/// A Postgres installation.
#[derive(Debug, Clone)]
pub struct PostgresBinaries {
    /// The directory with `postgres` and `initdb`.
    pub dir: PathBuf,
    /// What `postgres --version` says, e.g. `postgres (PostgreSQL) 15.18`.
    pub version: String,
}

/// Finds a Postgres of version 14 or later.
pub fn postgres() -> Result<PostgresBinaries, Error> {
    if let Some(dir) = env::var_os(POSTGRES_BIN).map(PathBuf::from) {
        if let Some(missing) = missing_binary(&dir) {
            return Err(Error::Override { variable: POSTGRES_BIN, path: dir, missing });
        }
        return postgres_in(&dir);
    }
    let mut candidates = installed_tools("postgres-bin");
    candidates.extend(path_directories());
    candidates.extend(numbered("/usr/lib/postgresql", "", "bin"));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt"] {
        candidates.extend(numbered(prefix, "postgresql@", "bin"));
        candidates.push(Path::new(prefix).join("postgresql/bin"));
    }
    let mut refused = None;
    for dir in candidates.iter().filter(|dir| missing_binary(dir).is_none()) {
        match postgres_in(dir) {
            Ok(found) => return Ok(found),
            // An old one in PATH does not stand in the way of a good one elsewhere.
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(Error::PostgresMissing))
}

/// Checks the Postgres in the given directory.
pub fn postgres_in(dir: &Path) -> Result<PostgresBinaries, Error> {
    // The real place: the binaries look for their libraries and templates relative to it.
    let path = dir.join("postgres").canonicalize().doing("resolving", dir)?;
    let dir = path.parent().unwrap_or(dir).to_owned();
    let (version, (major, ..)) = version_of(&path)?;
    if major < POSTGRES_MAJOR_MIN {
        return Err(Error::TooOld { path, found: version, needed: "14" });
    }
    Ok(PostgresBinaries { dir, version })
}

/// Finds a nats-server of version 2.10 or later; warns about one below 2.12.7.
pub fn nats_server() -> Result<PathBuf, Error> {
    if let Some(path) = env::var_os(NATS_SERVER).map(PathBuf::from) {
        if !path.is_file() {
            return Err(Error::Override { variable: NATS_SERVER, missing: path.display().to_string(), path });
        }
        return nats_server_at(&path);
    }
    let mut candidates = installed_tools("nats-server");
    let directories = path_directories().into_iter();
    candidates.extend(directories.map(|dir| dir.join("nats-server")));
    candidates.extend(["/opt/homebrew/bin/nats-server", "/usr/local/bin/nats-server"].map(PathBuf::from));
    let mut refused = None;
    for path in candidates.iter().filter(|path| path.is_file()) {
        match nats_server_at(path) {
            Ok(found) => return Ok(found),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(Error::NatsMissing))
}

/// Checks the given nats-server binary.
pub fn nats_server_at(path: &Path) -> Result<PathBuf, Error> {
    let path = path.canonicalize().doing("resolving", path)?;
    let (found, version) = version_of(&path)?;
    if version < NATS_REFUSED_BELOW {
        return Err(Error::TooOld { path, found, needed: "2.10" });
    }
    if version < NATS_WARNED_BELOW {
        tracing::warn!(path = %path.display(), %found, "this nats-server has known security holes: use 2.12.7 or later");
    }
    Ok(path)
}

fn missing_binary(dir: &Path) -> Option<String> {
    ["postgres", "initdb"].into_iter().find(|name| !dir.join(name).is_file()).map(str::to_owned)
}

/// `.boxoffice/tools/bin/NAME`, upward from where we are and from where this executable is.
fn installed_tools(name: &str) -> Vec<PathBuf> {
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let bases = starts.iter().flatten().flat_map(|start| start.ancestors());
    bases.map(|base| base.join(".boxoffice/tools/bin").join(name)).filter(|path| path.exists()).collect()
}

/// The directories of `PATH`.
pub(crate) fn path_directories() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// Directories like `/usr/lib/postgresql/15/bin`, the highest number first.
fn numbered(base: &str, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let number = |name: &str| name.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path().join(below))))
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, path)| path).collect()
}

/// What `BINARY --version` says, and the numbers in it.
fn version_of(path: &Path) -> Result<(String, (u32, u32, u32)), Error> {
    let output = Command::new(path).arg("--version").output().doing("running", path)?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match parse_version(&answer) {
        Some(version) => Ok((answer, version)),
        None => Err(Error::NoVersion { path: path.to_owned(), answer }),
    }
}

/// The first word that starts with a number: `15.18`, `v2.15.1`, `17beta1`. Parts that are absent count as 0.
fn parse_version(answer: &str) -> Option<(u32, u32, u32)> {
    let words = answer.split_whitespace().map(|word| word.trim_start_matches('v'));
    let word = words.into_iter().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let leading = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().unwrap_or(0)
    };
    let mut parts = word.split('.').map(leading);
    Some((parts.next()?, parts.next().unwrap_or(0), parts.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_read_as_the_servers_write_them() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some((15, 18, 0)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta2"), Some((19, 0, 0)));
        assert_eq!(parse_version("nats-server: v2.15.1"), Some((2, 15, 1)));
        assert_eq!(parse_version("nats-server: v2.12.0-RC.2"), Some((2, 12, 0)));
        assert_eq!(parse_version("command not found"), None);
    }
}
