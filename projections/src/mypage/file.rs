//! The SQLite file: opened, created, or put aside where it cannot be used. It can always be made again from the log.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{
    parking, table,
    writer::{blocking, read_checkpoint},
};
use crate::{CopyState, Error};

/// Marks the file as ours, in its header: "BOXM".
const APPLICATION_ID: i32 = 0x424f_584d;
/// Version of the tables and of what events do to them.
pub(super) const VERSION: i32 = 1;
/// Files of older versions down to this one have tables of today's shape: they are served, and kept up, until the
/// histories in them were built anew (see [`crate::rebuild`]). 0 is what nobody ever released.
const READABLE_SINCE: i32 = 0;
/// How long one writer waits for another's transaction.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a reader waits: readers do not wait for writers, only for a file that is being recovered.
const READER_BUSY_WAIT_MAX: Duration = Duration::from_millis(100);
/// Files up to this size are checked as a whole when they are opened; of larger ones, the header only.
const CHECKED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The write-ahead log is cut back to this after it was large.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// What is put aside keeps its name with this behind it; the last one only.
const ASIDE: &str = ".aside";

const SCHEMA: &str = include_str!("schema.sql");
const BESIDE: &str = include_str!("beside.sql");

/// Why a file is of no use.
enum Unusable {
    /// Make another.
    Because(String),
    /// Leave it alone: it may be perfectly good.
    Error(Error),
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Because(error.to_string()),
            _ => Self::Error(error.into()),
        }
    }
}

/// The connection that writes. A file that is corrupt, or of another version, is put aside with a warning.
pub(super) fn open_or_create(path: &Path) -> Result<Connection, Error> {
    match try_open(path) {
        Ok(connection) => Ok(connection),
        Err(Unusable::Error(error)) => Err(error),
        Err(Unusable::Because(reason)) => {
            tracing::warn!(reason, path = %path.display(), "the booking history's file is put aside and made anew");
            put_aside(path).map_err(|source| Error::Aside { path: path.to_owned(), source })?;
            try_open(path).map_err(|unusable| match unusable {
                Unusable::Error(error) => error,
                Unusable::Because(reason) => Error::Aside { path: path.to_owned(), source: io::Error::other(reason) },
            })
        }
    }
}

/// A connection that cannot write.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(READER_BUSY_WAIT_MAX)?;
    Ok(connection)
}

fn try_open(path: &Path) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    check_or_create(&mut connection)?;
    // Readers go on while the writer writes.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Not FULL: a power failure may take the last commits, but effect and checkpoint together, and the log has them.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    if fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES_MAX) {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(Unusable::Because(verdict));
        }
    }
    Ok(connection)
}

fn check_or_create(connection: &mut Connection) -> Result<(), Unusable> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        table::create(&transaction, table::LIVE)?;
        table::index_bookings(&transaction, table::LIVE)?;
        table::index_users(&transaction, table::LIVE)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    } else if application != APPLICATION_ID {
        return Err(Unusable::Because("it is another program's".to_owned()));
    } else if !(READABLE_SINCE..=VERSION).contains(&version) {
        return Err(Unusable::Because(format!("it is of version {version}, not {VERSION}")));
    }
    transaction.execute_batch(BESIDE)?;
    // The copy there is, in a file that is older than the register of copies.
    transaction.execute(
        "INSERT INTO generations (generation, version, state, position)
         SELECT 1, user_version, 'live', 0 FROM pragma_user_version
         WHERE NOT EXISTS (SELECT 1 FROM generations WHERE state = 'live')",
        [],
    )?;
    transaction.commit()?;
    Ok(())
}

/// A connection that writes beside the process whose file it is. A file that is not there, or of no use, is left alone.
pub(super) fn open_beside(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    check_or_create(&mut connection).map_err(|unusable| match unusable {
        Unusable::Error(error) => error,
        Unusable::Because(reason) => Error::Unusable { path: path.to_owned(), reason },
    })?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// Looks into the file at `path`.
pub async fn state(path: impl AsRef<Path>) -> Result<CopyState, Error> {
    let path = path.as_ref().to_owned();
    blocking(move || {
        let connection = open_beside(&path)?;
        let (generation, version): (u32, u32) =
            connection.query_row("SELECT generation, version FROM generations WHERE state = 'live'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let old = connection.query_row("SELECT count(*) FROM generations WHERE state = 'old'", [], |row| row.get(0))?;
        let position = read_checkpoint(&connection)?.position;
        let parked = parking::all(&connection)?.into_iter().map(|(_, parked)| parked).collect();
        Ok(CopyState { name: "mypage", version, current: VERSION.unsigned_abs(), generation, old, position, parked })
    })
    .await
}

/// Moves the file away with its write-ahead log, which would spoil a new file of the same name.
fn put_aside(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let from = with_suffix(path, suffix);
        let to = with_suffix(path, &format!("{ASIDE}{suffix}"));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::remove_file(&to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            },
            moved => moved?,
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
