//! Settings, read and checked once, before anything is started.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use payments::{
    TossConfig,
    toss::{TIMEOUT_MS, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN},
};
use sqlx::postgres::PgConnectOptions;
use thiserror::Error;

use crate::secret::Secret;

/// What the product runs on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Postgres (`DATABASE_URL`).
    pub database: PgConnectOptions,
    /// nats-server, with the credentials of the relay (`NATS_URL`).
    pub nats_url: String,
    /// nats-server, with the credentials of a reader (`NATS_READER_URL`); those of the relay where it is not set.
    pub nats_reader_url: String,
    /// The file of MyPage's database (`MYPAGE_PATH`).
    pub mypage_path: PathBuf,
    /// The file of the private keys that sign checkpoints of the log (`SEAL_KEY_PATH`); `seal.key` beside `MYPAGE_PATH` where
    /// it is not set.
    pub seal_key_path: PathBuf,
    /// The installation's secret (`BOXOFFICE_SECRET`, 64 hexadecimal digits); kept in the database where it is not set.
    pub secret: Option<Secret>,
    /// The payment provider (`PROVIDER_URL`, `PROVIDER_SECRET`, `PROVIDER_TIMEOUT_MS`); nothing can be paid where it is
    /// not set.
    pub provider: Option<TossConfig>,
}

/// Everything that is wrong with the settings, by name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the settings are not complete:\n{}", .0.iter().map(|wrong| format!("  {wrong}")).collect::<Vec<_>>().join("\n"))]
pub struct SettingsError(pub Vec<String>);

impl Settings {
    /// From the environment, by `get`.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut wrong = Vec::new();
        let mut need = |name: &str, what: &str| {
            let value = get(name).filter(|value| !value.trim().is_empty());
            if value.is_none() {
                wrong.push(format!("{name} is missing: {what}"));
            }
            value.unwrap_or_default()
        };
        let database = need("DATABASE_URL", "postgres://USER:PASSWORD@HOST:PORT/DATABASE");
        let nats_url = need("NATS_URL", "nats://USER:PASSWORD@HOST:PORT, with the rights of the relay");
        let mypage_path = need("MYPAGE_PATH", "the file of MyPage's database, made if it is not there");
        let is_postgres = database.starts_with("postgres://") || database.starts_with("postgresql://");
        let options = match database.parse::<PgConnectOptions>() {
            _ if database.is_empty() => None,
            Ok(options) if is_postgres => Some(options),
            Ok(_) => {
                wrong.push("DATABASE_URL is not a Postgres URL: it must begin with postgres://".to_owned());
                None
            }
            Err(error) => {
                wrong.push(format!("DATABASE_URL is not a Postgres URL: {error}"));
                None
            }
        };
        let nats_reader_url = get("NATS_READER_URL").unwrap_or_else(|| nats_url.clone());
        for (name, url) in [("NATS_URL", &nats_url), ("NATS_READER_URL", &nats_reader_url)] {
            if !url.is_empty()
                && let Err(error) = nats::check_url(url)
            {
                wrong.push(format!("{name} is not a NATS URL: {error}"));
            }
        }
        let secret = get("BOXOFFICE_SECRET").map(|text| Secret::from_hex(&text));
        if secret == Some(None) {
            wrong.push("BOXOFFICE_SECRET is not 64 hexadecimal digits".to_owned());
        }
        let provider = match (get("PROVIDER_URL"), get("PROVIDER_SECRET")) {
            (Some(url), Some(secret)) => match provider_timeout(&get) {
                Ok(timeout) => Some(TossConfig::new(url, secret).timeout(timeout)),
                Err(why) => {
                    wrong.push(why);
                    None
                }
            },
            (None, None) => None,
            (Some(_), None) => {
                wrong.push(
                    "PROVIDER_SECRET is missing: the provider's secret key, since PROVIDER_URL is set".to_owned(),
                );
                None
            }
            (None, Some(_)) => {
                wrong.push("PROVIDER_URL is missing: the provider's base URL, since PROVIDER_SECRET is set".to_owned());
                None
            }
        };
        let mypage_path = PathBuf::from(mypage_path);
        let seal_key_path = get("SEAL_KEY_PATH").filter(|path| !path.trim().is_empty());
        match options {
            Some(database) if wrong.is_empty() => Ok(Self {
                database,
                nats_reader_url,
                nats_url,
                seal_key_path: seal_key_path.map_or_else(|| beside(&mypage_path), PathBuf::from),
                mypage_path,
                secret: secret.flatten(),
                provider,
            }),
            Some(_) | None => Err(SettingsError(wrong)),
        }
    }
}

/// Where the keys of seals are unless something else is said.
pub(crate) fn beside(mypage_path: &Path) -> PathBuf {
    mypage_path.with_file_name("seal.key")
}

/// How long a buyer waits for the payment provider (`PROVIDER_TIMEOUT_MS`); or what is wrong with it.
pub fn provider_timeout(get: impl Fn(&str) -> Option<String>) -> Result<Duration, String> {
    let Some(text) = get("PROVIDER_TIMEOUT_MS").filter(|text| !text.trim().is_empty()) else {
        return Ok(Duration::from_millis(TIMEOUT_MS));
    };
    let milliseconds = text.trim().parse().ok().filter(|ms| (TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(ms));
    milliseconds.map(Duration::from_millis).ok_or_else(|| {
        format!("PROVIDER_TIMEOUT_MS is not a number of milliseconds from {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn all_that_is_missing_or_wrong_is_named_at_once() {
        let error = read(&[("DATABASE_URL", "mysql://x"), ("BOXOFFICE_SECRET", "short"), ("PROVIDER_URL", "http://x")]);
        let text = error.err().map(|error| error.to_string()).unwrap_or_default();
        for name in [
            "DATABASE_URL is not",
            "NATS_URL is missing",
            "MYPAGE_PATH is missing",
            "BOXOFFICE_SECRET is not",
            "PROVIDER_SECRET is missing",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }

    #[test]
    fn how_long_a_buyer_waits_can_be_set_within_bounds() {
        let timeout = |value: &str| {
            read(&[
                ("DATABASE_URL", "postgres://a:b@127.0.0.1:1/c"),
                ("NATS_URL", "nats://127.0.0.1:2"),
                ("MYPAGE_PATH", "mypage.db"),
                ("PROVIDER_URL", "http://127.0.0.1:3"),
                ("PROVIDER_SECRET", "hush"),
                ("PROVIDER_TIMEOUT_MS", value),
            ])
            .map(|settings| settings.provider.map(|provider| provider.timeout.as_millis()))
            .map_err(|error| error.to_string())
        };
        assert_eq!(timeout(""), Ok(Some(610)));
        assert_eq!(timeout("1500"), Ok(Some(1_500)));
        for wrong in ["0", "49", "5001", "-1", "1.5", "soon"] {
            let error = timeout(wrong).err().unwrap_or_default();
            assert!(error.contains("PROVIDER_TIMEOUT_MS is not a number of milliseconds from 50 to 5000"), "{error}");
        }
    }

    #[test]
    fn three_settings_are_enough() {
        let settings = read(&[
            ("DATABASE_URL", "postgres://a:b@127.0.0.1:1/c"),
            ("NATS_URL", "nats://127.0.0.1:2"),
            ("MYPAGE_PATH", "somewhere/mypage.db"),
        ]);
        assert!(settings.is_ok_and(|settings| settings.provider.is_none()
            && settings.secret.is_none()
            && settings.seal_key_path == Path::new("somewhere/seal.key")));
    }
}
