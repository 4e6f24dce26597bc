//! The file that the books are kept in: one JSON line for each [`Entry`], in the order they were made.
//!
//! An entry is with the kernel before it takes effect and before the call is answered, so a killed process forgets
//! nothing. It is not synced to the disk: a crash of the whole machine may take the last entries with it.

use std::{
    ffi::OsString,
    fmt::Display,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use super::{answer::Refusal, books::Entry, idempotency::ANSWERS_MAX, ledger::PAYMENTS_MAX};

/// How many lines the file can have. The next entry has it written anew with only what the books still know, which is at
/// most three quarters of this; calls wait meanwhile.
pub const ENTRIES_MAX: usize = 2 * (PAYMENTS_MAX + ANSWERS_MAX);

/// The longest line, in bytes. A payment with all the refunds it can have is a fifth of it; anything longer is not ours.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// The file, open and ours alone.
pub(super) struct Daybook {
    path: PathBuf,
    file: File,
    /// The length of the whole lines, in bytes.
    bytes: u64,
    entries: usize,
    entries_max: usize,
    /// Something of an entry that failed may stand after the whole lines.
    torn: bool,
    /// Locked as long as this lives. A file of its own, because writing the books anew replaces theirs.
    _lock: File,
}

impl Daybook {
    /// Opens the file, or begins it, and gives each of its entries to `enter`. A last line without its end is cut off:
    /// its call was never answered.
    ///
    /// It is an error if somebody else has the file open, or if a line, which the error names, cannot be read or entered.
    pub fn open(path: &Path, mut enter: impl FnMut(Entry) -> Result<(), Refusal>) -> io::Result<Self> {
        let lock = lock(path)?;
        // What a process killed while it wrote the books anew has left, if one was.
        let _ = fs::remove_file(beside(path, ".new"));
        let about = |error| in_file(path, error);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(about)?;
        let mut reader = BufReader::new(&file);
        let (mut line, mut bytes, mut entries) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let length = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(about)? as u64;
            if length < LINE_BYTES_MAX && !line.ends_with(b"\n") {
                break;
            }
            entries += 1;
            let entry = serde_json::from_slice(&line).map_err(|error| unreadable(path, entries, error))?;
            enter(entry)
                .map_err(|refusal| unreadable(path, entries, format!("does not fit the books: {refusal:?}")))?;
            bytes += length;
        }
        if !line.is_empty() {
            tracing::warn!(path = %path.display(), line = entries + 1, bytes = line.len(), "torn last line cut off");
            file.set_len(bytes).map_err(about)?;
        }
        Ok(Self { path: path.into(), file, bytes, entries, entries_max: ENTRIES_MAX, torn: false, _lock: lock })
    }

    /// Adds `entry`, all of it or, on an error, nothing.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes)?;
        }
        let line = line(entry)?;
        self.torn = true;
        self.file.write_all(&line)?;
        self.torn = false;
        self.bytes += line.len() as u64;
        self.entries += 1;
        Ok(())
    }

    /// Whether it has to be [replaced](Self::replace) before the next entry.
    pub const fn is_full(&self) -> bool {
        self.entries >= self.entries_max
    }

    /// Puts `entries` in the place of all entries so far; on an error these stay.
    pub fn replace(&mut self, entries: impl Iterator<Item = Entry>) -> io::Result<()> {
        let new = beside(&self.path, ".new");
        let replaced = Self::write_all(&new, entries).and_then(|written| {
            fs::rename(&new, &self.path)?;
            Ok(written)
        });
        match replaced {
            Ok((file, bytes, entries)) => {
                (self.file, self.bytes, self.entries, self.torn) = (file, bytes, entries, false);
                Ok(())
            }
            Err(error) => {
                // It may be the disk that is full; and the next try begins anew anyway.
                let _ = fs::remove_file(&new);
                Err(error)
            }
        }
    }

    /// A new file with `entries`, its length in bytes and in lines.
    fn write_all(path: &Path, entries: impl Iterator<Item = Entry>) -> io::Result<(File, u64, usize)> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
        let mut writer = BufWriter::new(OpenOptions::new().append(true).create_new(true).open(path)?);
        let (mut bytes, mut lines) = (0, 0);
        for entry in entries {
            let line = line(&entry)?;
            writer.write_all(&line)?;
            bytes += line.len() as u64;
            lines += 1;
        }
        Ok((writer.into_inner().map_err(io::IntoInnerError::into_error)?, bytes, lines))
    }

    /// With another bound than [`ENTRIES_MAX`].
    #[cfg(test)]
    pub fn bounded(self, entries_max: usize) -> Self {
        Self { entries_max, ..self }
    }
}

fn line(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

/// Locks the file beside `path` that stands for it. The kernel unlocks it when the process ends, however it ends.
fn lock(path: &Path) -> io::Result<File> {
    let beside = beside(path, ".lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&beside);
    let lock = lock.map_err(|error| in_file(&beside, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(in_file(path, io::Error::new(ErrorKind::ResourceBusy, "in use by another simulator")))
        }
        Err(TryLockError::Error(error)) => Err(in_file(&beside, error)),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn unreadable(path: &Path, line: usize, why: impl Display) -> io::Error {
    in_file(path, io::Error::new(ErrorKind::InvalidData, format!("line {line}: {why}")))
}

fn in_file(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::ledger::Counts;

    #[test]
    fn half_an_entry_that_failed_is_cut_off_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("books.jsonl");
        let mut daybook = Daybook::open(&path, |_| Ok(())).unwrap();
        daybook.write(&Entry::Counts(Counts::default())).unwrap();
        // What a disk that fills up in the middle of an entry leaves.
        daybook.file.write_all(b"{\"cou").unwrap();
        daybook.torn = true;
        daybook.write(&Entry::Counts(Counts::default())).unwrap();
        drop(daybook);
        assert_eq!(Daybook::open(&path, |_| Ok(())).unwrap().entries, 2);
    }
}
