//! The file of the private keys, one a line, the newest first. Each signs; the database never sees them.

use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use uuid::Uuid;

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

    /// The keys in it, for the log `origin`; a first one is made where there is no file. Says whether it was. Of several
    /// processes that do so at once one makes it, and all have that one.
    pub fn open(&self, origin: &str) -> Result<(Vec<SigningKey>, bool), SealError> {
        let mut keys = self.read()?;
        if keys.is_empty() {
            let made = vec![self.made(origin)?];
            if self.create(&made)? {
                return Ok((made, true));
            }
            keys = self.read()?;
            if keys.is_empty() {
                return Err(self.wrong("another process made it and somebody removed it at once".to_owned()));
            }
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

    /// Writes the file where there is none; says whether there was none.
    fn create(&self, keys: &[SigningKey]) -> Result<bool, SealError> {
        create_private(&self.0, &text(keys)).map_err(|error| self.wrong(error.to_string()))
    }

    fn write(&self, keys: &[SigningKey]) -> Result<(), SealError> {
        write_private(&self.0, &text(keys)).map_err(|error| self.wrong(error.to_string()))
    }

    fn shown(&self) -> String {
        self.0.display().to_string()
    }

    fn wrong(&self, detail: String) -> SealError {
        SealError::KeyFile { file: self.shown(), detail }
    }
}

fn text(keys: &[SigningKey]) -> String {
    keys.iter().flat_map(|key| [key.secret_text(), "\n"]).collect()
}

/// Writes a file that only its owner may read, in place of an older one as a whole, and so that a power cut leaves one of the two.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = Unfinished::write(path, text)?;
    fs::rename(&unfinished.0, path)?;
    sync_directory(path)
}

/// Likewise, but only where there is no file, which is the answer.
fn create_private(path: &Path, text: &str) -> io::Result<bool> {
    let unfinished = Unfinished::write(path, text)?;
    // A link, unlike a renaming, is never made over what is there.
    match fs::hard_link(&unfinished.0, path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        // A file system without links.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            match write_new(path, text) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    }
    sync_directory(path)?;
    Ok(true)
}

/// A file beside another, under a name that nobody else uses; gone when it is dropped, unless it was renamed.
struct Unfinished(PathBuf);

impl Unfinished {
    fn write(path: &Path, text: &str) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        // By chance, as processes in other containers that share the directory have the same numbers.
        name.push(format!(".{}.new", Uuid::new_v4().simple()));
        let unfinished = Self(path.with_file_name(name));
        write_new(&unfinished.0, text)?;
        Ok(unfinished)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Nothing can be done about it, and where it was renamed there is none.
        let _gone = fs::remove_file(&self.0);
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

/// The name of a file is only safe once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, sync::Barrier, thread};

    use super::*;

    /// How often several make the first key at once.
    const ROUNDS: usize = 100;
    /// How many.
    const AT_ONCE: usize = 4;

    /// The names of all files in a directory.
    fn files(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
        files.sort();
        files
    }

    #[test]
    fn several_that_make_the_first_key_at_once_end_with_the_same() {
        for _ in 0..ROUNDS {
            let (dir, together) = (tempfile::tempdir().unwrap(), Barrier::new(AT_ONCE));
            let opened: Vec<_> = thread::scope(|scope| {
                let open = || {
                    let file = KeyFile::new(dir.path().join("seal.key"));
                    together.wait();
                    file.open("boxoffice/x").unwrap()
                };
                let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(open)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            let stored = KeyFile::new(dir.path().join("seal.key")).read().unwrap();
            assert!(opened.iter().all(|(keys, _)| keys.len() == 1 && keys[0].verifier() == stored[0].verifier()));
            assert_eq!(opened.iter().filter(|(_, made)| *made).count(), 1);
            assert_eq!(files(dir.path()), ["seal.key"]);
        }
    }

    #[test]
    fn several_that_write_at_once_leave_one_whole_text() {
        let (dir, together) = (tempfile::tempdir().unwrap(), Barrier::new(AT_ONCE));
        let path = dir.path().join("seal.checkpoint");
        let texts: Vec<String> = (0..AT_ONCE).map(|n| n.to_string().repeat(1_000 * (n + 1))).collect();
        thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| {
                    together.wait();
                    for _ in 0..ROUNDS {
                        write_private(&path, text).unwrap();
                        assert!(texts.contains(&fs::read_to_string(&path).unwrap()));
                    }
                });
            }
        });
        assert_eq!(files(dir.path()), ["seal.checkpoint"]);
    }

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
