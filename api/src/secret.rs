//! The one secret of an installation, and the keys that follow from it.

use std::{fmt, path::Path};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 32;

/// The secret; tokens and keyed hashes depend on it, so losing it signs everybody out and loses every sign-in.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A new one, at random.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() != 2 * SECRET_BYTES || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; SECRET_BYTES];
        for (nth, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * nth..2 * nth + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// As 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        use fmt::Write;
        self.0.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    /// The one kept in `file`, which is made with a new one if it is not there; only its owner can read it.
    pub fn kept_in(file: &Path) -> std::io::Result<Self> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        match std::fs::read_to_string(file) {
            Ok(text) => Self::from_hex(&text).ok_or_else(|| {
                std::io::Error::other(format!("{} does not hold 64 hexadecimal digits", file.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = Self::random();
                let unfinished = file.with_extension("new");
                let mut options = std::fs::OpenOptions::new();
                let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
                out.write_all(secret.to_hex().as_bytes())?;
                out.sync_all()?;
                std::fs::rename(unfinished, file)?;
                Ok(secret)
            }
            Err(error) => Err(error),
        }
    }

    /// The key for one purpose: HMAC-SHA256 of its name under the secret.
    pub fn key(&self, purpose: &str) -> [u8; 32] {
        keyed_hash(&self.0, purpose.as_bytes())
    }
}

/// HMAC-SHA256 (RFC 2104) of `message` under `key`.
pub fn keyed_hash(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("any key length will do"));
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_and_survives_its_text() {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let file = dir.path().join("secret");
        let made = Secret::kept_in(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Secret::kept_in(&file).ok(), Some(made.clone()));
        assert_eq!(Secret::from_hex(&made.to_hex()), Some(made.clone()));
        assert_ne!(made.key("tokens"), made.key("emails"));
        assert_eq!(Secret::from_hex("zz"), None);
        std::fs::write(&file, "short").unwrap_or_else(|error| panic!("{error}"));
        assert!(Secret::kept_in(&file).is_err(), "a damaged secret is not replaced silently");
    }
}
