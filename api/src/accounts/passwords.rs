//! Passwords: argon2id, slow on purpose, and so never more at once than the machine can bear.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use thiserror::Error;
use tokio::sync::Semaphore;

/// Hashes computed at once, at most; each takes 19 MiB and a core for some 20 ms.
const HASHES_AT_ONCE_MAX: usize = 2;
/// How long a sign-up or sign-in waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Why a password could not be hashed or checked.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// Too many want to sign in now.
    #[error("too many are signing in right now, try again a little later")]
    Overloaded,
    /// The hash could not be computed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHES_AT_ONCE_MAX)) }
    }

    /// The PHC string of a password, with a salt of its own.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.slowly(move || hash(&password)).await?
    }

    /// Whether `password` is the one that was hashed. Without a hash it takes as long and says no, so that nobody
    /// learns which e-mails are known.
    pub async fn verify(&self, password: String, hashed: Option<String>) -> Result<bool, PasswordError> {
        self.slowly(move || {
            let known = hashed.is_some();
            let hashed = hashed.unwrap_or_else(|| nobodys().to_owned());
            let right = PasswordHash::new(&hashed)
                .is_ok_and(|hashed| Argon2::default().verify_password(password.as_bytes(), &hashed).is_ok());
            known && right
        })
        .await
    }

    async fn slowly<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(PasswordError::Overloaded) };
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|error| PasswordError::Hash(error.to_string()))
    }
}

fn hash(password: &str) -> Result<String, PasswordError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hashed| hashed.to_string())
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

/// A hash that is as slow to check as anyone's, and that nothing matches.
fn nobodys() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(&uuid::Uuid::new_v4().to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_checked_against_its_hash() {
        let passwords = Passwords::new();
        let hashed = passwords.hash("correct horse".to_owned()).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(hashed.starts_with("$argon2id$"));
        for (password, hashed, right) in [
            ("correct horse", Some(hashed.clone()), true),
            ("wrong horse", Some(hashed), false),
            ("correct horse", None, false),
        ] {
            assert_eq!(passwords.verify(password.to_owned(), hashed).await.ok(), Some(right));
        }
    }
}
