//! Where the provider is, who we are to it, and how long we wait for it.

use std::{error::Error, fmt, time::Duration};

use reqwest::Url;
use thiserror::Error;

/// How long one call that somebody waits for may take in all, in milliseconds: the original's limit.
pub const TIMEOUT_MS: u64 = 610;
/// The least of it that can be set, in milliseconds: with less, nothing would ever be paid.
pub const TIMEOUT_MS_MIN: u64 = 50;
/// The most of it that can be set, in milliseconds. A call that goes on must be over long before its try is looked into
/// ([`SETTLE_AFTER`](crate::judge::SETTLE_AFTER)).
pub const TIMEOUT_MS_MAX: u64 = 5_000;
/// How long one call that nobody waits for may take in all, in milliseconds: lookups of tries without an outcome and of
/// webhooks, and refunds. Longer, so that a provider that always takes longer than a buyer waits still tells what became
/// of the money; below [`SETTLE_AFTER`](crate::judge::SETTLE_AFTER).
pub const BACKGROUND_TIMEOUT_MS: u64 = 8_000;

/// The longest payment key, in characters (API reference, Payment object).
pub const PAYMENT_KEY_CHARS_MAX: usize = 200;

/// The longest idempotency key, in characters (guide to the idempotency key). Ours, being UUIDs, have 36.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 300;

/// How to reach and address the provider.
#[derive(Clone)]
pub struct TossConfig {
    /// Scheme, host and port, such as `https://api.tosspayments.com`; a path in it comes before the API's own.
    pub base_url: String,
    /// The secret key. It is the user name of the Basic authentication; the password is empty.
    pub secret_key: String,
    /// How long one call may take in all, connecting and reading included.
    pub timeout: Duration,
}

/// What is wrong with a [`TossConfig`].
#[derive(Debug, Error)]
pub enum TossConfigError {
    /// The base URL is none.
    #[error("the provider's URL is not a URL: {0}")]
    BaseUrl(String),
    /// The base URL has another scheme than `http` or `https`.
    #[error("the provider's URL must start with http:// or https://")]
    Scheme,
    /// The secret key is empty or cannot stand in a header.
    #[error("the provider's secret key is empty or holds a control character")]
    SecretKey,
    /// Without a limit in time nothing here is bounded.
    #[error("the provider's time limit must be above zero")]
    Timeout,
    /// The process has not installed its cryptography yet, or the HTTP client cannot be built for another reason.
    #[error("no HTTP client for the provider")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

impl TossConfig {
    /// The provider at `base_url`, with the usual time limit ([`TIMEOUT_MS`]).
    pub fn new(base_url: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), secret_key: secret_key.into(), timeout: Duration::from_millis(TIMEOUT_MS) }
    }

    /// The same with another time limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same provider, asked by nobody who waits ([`BACKGROUND_TIMEOUT_MS`]).
    pub fn in_background(self) -> Self {
        let timeout = self.timeout.max(Duration::from_millis(BACKGROUND_TIMEOUT_MS));
        Self { timeout, ..self }
    }

    /// The base URL, once all of the configuration is found sound.
    pub(super) fn validated(&self) -> Result<Url, TossConfigError> {
        let base = Url::parse(&self.base_url).map_err(|error| TossConfigError::BaseUrl(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(TossConfigError::Scheme);
        }
        if self.secret_key.is_empty() || self.secret_key.chars().any(char::is_control) {
            return Err(TossConfigError::SecretKey);
        }
        if self.timeout.is_zero() {
            return Err(TossConfigError::Timeout);
        }
        Ok(base)
    }
}

/// Without the secret key: this may end in a log.
impl fmt::Debug for TossConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TossConfig")
            .field("base_url", &self.base_url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_by_its_name() {
        let wrong = |url: &str, key: &str| TossConfig::new(url, key).validated();
        assert!(wrong("http://127.0.0.1:1", "k").is_ok());
        assert!(matches!(wrong("nowhere", "k"), Err(TossConfigError::BaseUrl(_))));
        assert!(matches!(wrong("ftp://127.0.0.1", "k"), Err(TossConfigError::Scheme)));
        assert!(matches!(wrong("http://127.0.0.1", ""), Err(TossConfigError::SecretKey)));
        let endless = TossConfig::new("http://127.0.0.1", "k").timeout(Duration::ZERO);
        assert!(matches!(endless.validated(), Err(TossConfigError::Timeout)));
    }

    #[test]
    fn every_call_is_over_before_its_try_is_looked_into() {
        let settled = crate::judge::SETTLE_AFTER.num_milliseconds().unsigned_abs();
        for limit in [TIMEOUT_MS, TIMEOUT_MS_MAX, BACKGROUND_TIMEOUT_MS] {
            assert!((TIMEOUT_MS_MIN..settled).contains(&limit), "{limit} ms");
        }
        let config = TossConfig::new("http://127.0.0.1:1", "k").in_background();
        assert_eq!(config.timeout, Duration::from_millis(BACKGROUND_TIMEOUT_MS));
    }

    #[test]
    fn the_secret_does_not_show() {
        assert!(!format!("{:?}", TossConfig::new("http://127.0.0.1", "test_sk_hush")).contains("hush"));
    }
}
