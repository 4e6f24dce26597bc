//! Postgres refuses to run as root, so as root it is run as somebody else; everything else runs as ourselves.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, User, geteuid};

use crate::Error;
use crate::error::Doing;
use crate::find;

/// Bits of a capability set, as `/proc/self/status` numbers them (capability.h).
const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;

/// Whom a server runs as.
#[derive(Debug, Clone)]
pub(crate) enum RunAs {
    /// Whoever we are.
    Ourselves,
    /// We are root, and this one is not.
    User { name: String, uid: Uid, gid: Gid },
}

impl RunAs {
    /// Ourselves, unless we are root: then `postgres`, else `nobody`.
    pub(crate) fn for_postgres() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        let known = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let User { name, uid, gid, .. } = known.ok_or(Error::NoUser)?;
        Ok(Self::User { name, uid, gid })
    }

    /// Makes that user the owner of a file or directory (not of what is in it).
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::User { uid, gid, .. } => {
                chown(path, Some(uid.as_raw()), Some(gid.as_raw())).doing("changing the owner of", path)
            }
        }
    }

    /// A command that runs as that user, able to reach its own binary and the given directory.
    ///
    /// Both may lie where the user cannot go (below `/root`, or a 0700 directory of ours). Then `setpriv` changes the user
    /// and leaves just one capability: to pass through directories and read (or, where a container grants only that, to
    /// override permissions). `death` is given to it as well, because changing the user clears the parent-death signal.
    pub(crate) fn command(&self, program: &Path, dir: &Path, death: Signal) -> Result<Command, Error> {
        let Self::User { name, uid, gid } = self else {
            return Ok(Command::new(program));
        };
        if self.reaches(program) && self.reaches(dir) {
            let mut command = Command::new(program);
            command.uid(uid.as_raw()).gid(gid.as_raw());
            return Ok(command);
        }
        let unreachable = || Error::Unreachable { user: name.clone(), path: dir.to_owned() };
        let capability = passing_capability().ok_or_else(unreachable)?;
        let mut command = Command::new(setpriv().ok_or_else(unreachable)?);
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={gid}"))
            .arg("--clear-groups")
            .arg(format!("--inh-caps=-all,+{capability}"))
            .arg(format!("--ambient-caps=-all,+{capability}"));
        if !self.reaches(program) {
            // Postgres asks access(2) about its own binaries, which leaves capabilities aside unless this is set.
            command.arg("--securebits=+no_setuid_fixup");
        }
        command.args(["--pdeathsig", death.as_str().trim_start_matches("SIG"), "--"]).arg(program);
        Ok(command)
    }

    /// Whether the user may pass through every directory above `path`. Access lists are not looked at; where they would
    /// have helped, `setpriv` does as well.
    fn reaches(&self, path: &Path) -> bool {
        let Self::User { uid, gid, .. } = self else { return true };
        let passable = |dir: &Path| {
            fs::metadata(dir).is_ok_and(|meta| {
                let search = match (meta.uid() == uid.as_raw(), meta.gid() == gid.as_raw()) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                meta.mode() & search != 0
            })
        };
        path.ancestors().skip(1).all(passable)
    }
}

fn setpriv() -> Option<PathBuf> {
    find::path_directories().into_iter().map(|dir| dir.join("setpriv")).find(|path| path.is_file())
}

/// The smallest capability we hold that lets a process through directories.
fn passing_capability() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let held = u64::from_str_radix(set.trim(), 16).ok()?;
    if held & CAP_DAC_READ_SEARCH != 0 {
        Some("dac_read_search")
    } else {
        (held & CAP_DAC_OVERRIDE != 0).then_some("dac_override")
    }
}
