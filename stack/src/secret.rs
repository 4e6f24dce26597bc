//! Passwords of the private servers: made at random once for each directory, kept in files that only the owner reads.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::Error;
use crate::error::Doing;

const SECRET_BYTES: usize = 24;

/// The secret kept in `path`, made up and written there the first time.
///
/// It is hexadecimal, so that it needs no quoting in a URL, a config file or SQL.
pub(crate) fn kept_in(path: &Path) -> Result<String, Error> {
    match fs::read_to_string(path) {
        Ok(secret) if !secret.trim().is_empty() => Ok(secret.trim().to_owned()),
        Ok(_) => create(path),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        Err(source) => Err(Error::Io { doing: format!("reading {}", path.display()), source }),
    }
}

fn create(path: &Path) -> Result<String, Error> {
    let mut secret = String::with_capacity(2 * SECRET_BYTES);
    for byte in rand::random::<[u8; SECRET_BYTES]>() {
        // Writing to a String cannot fail.
        let _ = write!(secret, "{byte:02x}");
    }
    write_private(path, &secret)?;
    Ok(secret)
}

/// Writes a file that only its owner may read, replacing an older one as a whole.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let draft = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft).doing("creating", &draft)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).doing("writing", &draft)?;
    fs::rename(&draft, path).doing("creating", path)
}
