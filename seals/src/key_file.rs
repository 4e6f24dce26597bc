//! The file of the private keys, one a line, the newest first. Each signs; the database never sees them.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::{SealError, keys::SigningKey};

/// Keys in a file, at most: after a rotation the one before signs too, until it is retired.
pub const KEYS_MAX: usize = 2;

/// Where the private keys are.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The keys kept in `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The keys in it, newest first; none where there is no file. A damaged file is an error and not a loss: somebody may
    /// still have what it should hold.
    pub fn read(&self) -> Result<Vec<SigningKey>, SealError> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.wrong(error.to_string())),
        };
        let keys: Option<Vec<_>> = text.lines().filter(|line| !line.trim().is_empty()).map(SigningKey::parse).collect();
        match keys {
            Some(keys) if (1..=KEYS_MAX).contains(&keys.len()) => Ok(keys),
            Some(keys) => Err(self.wrong(format!("it holds {} keys, and should 1 or {KEYS_MAX}", keys.len()))),
            None => Err(self.wrong("it holds something else than private keys of signed notes".to_owned())),
        }
    }

    /// The keys in it, for the log `origin`; a first one is made where there is no file. Says whether it was.
    pub fn open(&self, origin: &str) -> Result<(Vec<SigningKey>, bool), SealError> {
        let keys = self.read()?;
        if keys.is_empty() {
            let made = vec![self.made(origin)?];
            self.write(&made)?;
            return Ok((made, true));
        }
        match keys.iter().find(|key| key.verifier().origin() != origin) {
            Some(foreign) => Err(SealError::ForeignKey {
                file: self.shown(),
                found: foreign.verifier().origin().to_owned(),
                expected: origin.to_owned(),
            }),
            None => Ok((keys, false)),
        }
    }

    /// Puts a new key on top. The one before goes on signing beside it, for those who know only that.
    pub fn rotate(&self, origin: &str) -> Result<Vec<SigningKey>, SealError> {
        let (before, made) = self.open(origin)?;
        if made {
            return Ok(before);
        }
        let keys: Vec<_> = std::iter::once(self.made(origin)?).chain(before).take(KEYS_MAX).collect();
        self.write(&keys)?;
        Ok(keys)
    }

    /// Leaves only the newest key.
    pub fn retire(&self, origin: &str) -> Result<Vec<SigningKey>, SealError> {
        let (mut keys, _) = self.open(origin)?;
        keys.truncate(1);
        self.write(&keys)?;
        Ok(keys)
    }

    fn made(&self, origin: &str) -> Result<SigningKey, SealError> {
        SigningKey::random(origin).ok_or_else(|| self.wrong(format!("there is no key for a log called {origin:?}")))
    }

    fn write(&self, keys: &[SigningKey]) -> Result<(), SealError> {
        let text: String = keys.iter().flat_map(|key| [key.secret_text(), "\n"]).collect();
        write_private(&self.0, &text).map_err(|error| self.wrong(error.to_string()))
    }

    fn shown(&self) -> String {
        self.0.display().to_string()
    }

    fn wrong(&self, detail: String) -> SealError {
        SealError::KeyFile { file: self.shown(), detail }
    }
}

/// Writes a file that only its owner may read, in place of an older one as a whole.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    // The mode above is that of a new file; one that was left there keeps what it had.
    out.set_permissions(fs::Permissions::from_mode(0o600))?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(unfinished, path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::new(dir.path().join("seal.key"));
        let (made, new) = file.open("boxoffice/x").unwrap();
        assert!(new && made.len() == 1);
        let (again, new) = file.open("boxoffice/x").unwrap();
        assert!(!new && again[0].verifier() == made[0].verifier());
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(file.open("boxoffice/y"), Err(SealError::ForeignKey { .. })));
    }

    #[test]
    fn a_file_that_was_left_open_to_all_does_not_leave_the_key_so() {
        let dir = tempfile::tempdir().unwrap();
        let (file, left) = (KeyFile::new(dir.path().join("seal.key")), dir.path().join("seal.key.new"));
        fs::write(&left, "").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        file.open("boxoffice/x").unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_rotation_keeps_the_key_before_until_it_is_retired() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::new(dir.path().join("seal.key"));
        let ids = |keys: Vec<SigningKey>| keys.iter().map(|key| key.verifier().id()).collect::<Vec<_>>();
        let first = ids(file.rotate("boxoffice/x").unwrap());
        let second = ids(file.rotate("boxoffice/x").unwrap());
        assert_eq!((first.len(), second.len(), second[1]), (1, 2, first[0]));
        let third = ids(file.rotate("boxoffice/x").unwrap());
        assert_eq!((third.len(), third[1]), (2, second[0]));
        assert_eq!(ids(file.retire("boxoffice/x").unwrap()), [third[0]]);
        assert_eq!(ids(file.read().unwrap()), [third[0]]);
    }

    #[test]
    fn a_damaged_file_is_no_reason_to_make_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::new(dir.path().join("seal.key"));
        for damaged in ["", "PRIVATE+KEY+boxoffice/x+00000000+AQ==\n"] {
            fs::write(file.path(), damaged).unwrap();
            assert!(matches!(file.open("boxoffice/x"), Err(SealError::KeyFile { .. })), "{damaged}");
            assert_eq!(fs::read_to_string(file.path()).unwrap(), damaged);
        }
    }
}
