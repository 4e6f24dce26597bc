use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::Doing;

/// The exclusive right to a server's directory, for as long as this lives.
///
/// It is an advisory lock that the kernel drops with the owning process however that ends, so whatever still runs in a
/// directory whose lock is free has lost its owner, and may be stopped.
#[derive(Debug)]
pub(crate) struct Ownership {
    _lock: File,
}

impl Ownership {
    /// Creates the directory where needed and takes it, or says that somebody else has it.
    pub(crate) fn take(dir: &Path) -> Result<(Self, PathBuf), Error> {
        fs::create_dir_all(dir).doing("creating", dir)?;
        let dir = dir.canonicalize().doing("resolving", dir)?;
        let path = dir.join("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&path).doing("opening", &path)?;
        match lock.try_lock() {
            Ok(()) => Ok((Self { _lock: lock }, dir)),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(dir)),
            Err(TryLockError::Error(source)) => Err(Error::Io { doing: format!("locking {}", path.display()), source }),
        }
    }
}
