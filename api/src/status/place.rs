//! Where the system to look at is.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use sqlx::postgres::PgConnectOptions;
use thiserror::Error;

use crate::{settings, up};

/// Where `up` keeps its data unless it is told otherwise.
const DATA_DEFAULT: &str = ".boxoffice";
/// What our session is called in Postgres.
const SESSION: &str = "boxoffice status";

/// Why nobody knows where to look. Each says what to set.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum PlaceError {
    /// Neither settings nor a data directory.
    #[error(
        "DATABASE_URL is missing, and so is {0}; set DATABASE_URL and NATS_READER_URL (or NATS_URL), or name the data \
         directory of an `up` with --data DIR"
    )]
    Nothing(String),
    /// A data directory was named that is none.
    #[error("--data: {file} cannot be read ({error}); `boxoffice up` writes it")]
    NoEnv {
        /// The file.
        file: String,
        /// Why not.
        error: String,
    },
    /// One of them is missing.
    #[error("{name} is missing in {source_name}")]
    Missing {
        /// Which.
        name: &'static str,
        /// Where it was looked for.
        source_name: String,
    },
    /// One of them is not what it should be. The value is not shown: it may hold a password.
    #[error("{name} in {source_name} is wrong: {error}")]
    Wrong {
        /// Which.
        name: &'static str,
        /// Where it is from.
        source_name: String,
        /// What is wrong with it.
        error: String,
    },
}

/// Where the system is.
pub(crate) struct Place {
    pub database: PgConnectOptions,
    pub nats_url: String,
    /// Where this is known from, for people.
    pub source_name: String,
}

impl Place {
    /// By the data directory that was named, else by the environment, else by the usual data directory.
    pub fn find(data: Option<PathBuf>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, PlaceError> {
        let source = Source::find(data, environment)?;
        let (database, nats_url) = (source.database(SESSION)?, source.nats_url()?);
        Ok(Self { database, nats_url, source_name: source.name })
    }
}

/// Settings by name, wherever they are from.
pub(crate) struct Source {
    /// Where they are from, for people.
    pub name: String,
    values: HashMap<&'static str, String>,
}

/// All that is asked for by name.
const NAMES: [&str; 7] = [
    "DATABASE_URL",
    "NATS_READER_URL",
    "NATS_URL",
    "MYPAGE_PATH",
    "SEAL_KEY_PATH",
    "BOXOFFICE_SEAL_KEY",
    "BOXOFFICE_SEAL_KEY_FILE",
];

impl Source {
    /// The data directory that was named, else the environment, else the usual data directory.
    pub fn find(data: Option<PathBuf>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, PlaceError> {
        let environment = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        if data.is_none() && environment("DATABASE_URL").is_some() {
            return Ok(Self::new("the environment".to_owned(), environment));
        }
        let usual = || environment("BOXOFFICE_DATA").map_or_else(|| PathBuf::from(DATA_DEFAULT), PathBuf::from);
        let file = data.clone().unwrap_or_else(usual).join("env");
        let shown = shown(&file);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Self::new(shown, |name| up::env_value(&text, name))),
            Err(_) if data.is_none() => Err(PlaceError::Nothing(shown)),
            Err(error) => Err(PlaceError::NoEnv { file: shown, error: error.to_string() }),
        }
    }

    fn new(name: String, get: impl Fn(&str) -> Option<String>) -> Self {
        Self { name, values: NAMES.into_iter().filter_map(|name| Some((name, get(name)?))).collect() }
    }

    /// One of them, which must be there.
    pub fn need(&self, name: &'static str) -> Result<&str, PlaceError> {
        let missing = || PlaceError::Missing { name, source_name: self.name.clone() };
        self.values.get(name).map(String::as_str).ok_or_else(missing)
    }

    /// The file of the private keys that sign checkpoints, where that is known.
    pub fn seal_key_file(&self) -> Option<PathBuf> {
        let named = self.need("BOXOFFICE_SEAL_KEY_FILE").or_else(|_| self.need("SEAL_KEY_PATH")).map(PathBuf::from);
        named.or_else(|_| self.need("MYPAGE_PATH").map(|path| settings::beside(Path::new(path)))).ok()
    }

    /// Postgres, where our session is called `session`.
    pub fn database(&self, session: &str) -> Result<PgConnectOptions, PlaceError> {
        let options: PgConnectOptions = self
            .need("DATABASE_URL")?
            .parse()
            .map_err(|error: sqlx::Error| self.wrong("DATABASE_URL", error.to_string()))?;
        Ok(options.application_name(session))
    }

    /// nats-server, with the rights of a reader where there is somebody who has no more.
    pub fn nats_url(&self) -> Result<String, PlaceError> {
        let name = if self.values.contains_key("NATS_READER_URL") { "NATS_READER_URL" } else { "NATS_URL" };
        let missing = |_| PlaceError::Missing { name: "NATS_READER_URL (or NATS_URL)", source_name: self.name.clone() };
        let url = self.need(name).map_err(missing)?;
        nats::check_url(url).map_err(|error| self.wrong(name, error.to_string()))?;
        Ok(url.to_owned())
    }

    fn wrong(&self, name: &'static str, error: String) -> PlaceError {
        PlaceError::Wrong { name, source_name: self.name.clone(), error }
    }
}

fn shown(file: &Path) -> String {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const POSTGRES: (&str, &str) = ("DATABASE_URL", "postgres://a:secret@127.0.0.1:1/c");

    fn find(data: Option<&Path>, set: &[(&str, &str)]) -> Result<Place, PlaceError> {
        let get = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Place::find(data.map(Path::to_owned), get)
    }

    fn said(found: Result<Place, PlaceError>) -> String {
        found.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_environment_is_enough_and_what_it_lacks_is_named() {
        let place = find(None, &[POSTGRES, ("NATS_URL", "nats://127.0.0.1:2")]).unwrap();
        assert_eq!((place.nats_url.as_str(), place.database.get_port()), ("nats://127.0.0.1:2", 1));
        let reader = [POSTGRES, ("NATS_URL", "nats://127.0.0.1:2"), ("NATS_READER_URL", "nats://127.0.0.1:3")];
        assert_eq!(find(None, &reader).unwrap().nats_url, "nats://127.0.0.1:3");
        assert!(said(find(None, &[POSTGRES])).contains("NATS_READER_URL (or NATS_URL) is missing"));
    }

    #[test]
    fn a_directory_that_is_named_goes_before_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let env = "DATABASE_URL='postgres://a:it'\\''s@127.0.0.1:5/c'\nNATS_READER_URL='nats://127.0.0.1:6'\n";
        std::fs::write(dir.path().join("env"), env).unwrap();
        let place = find(Some(dir.path()), &[POSTGRES, ("NATS_URL", "nats://127.0.0.1:2")]).unwrap();
        assert_eq!((place.nats_url.as_str(), place.database.get_port()), ("nats://127.0.0.1:6", 5));
        let usual = [("BOXOFFICE_DATA", dir.path().to_str().unwrap())];
        assert_eq!(find(None, &usual).unwrap().database.get_port(), 5);
    }

    #[test]
    fn where_nothing_is_known_all_ways_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = dir.path().join("nowhere");
        let text = said(find(None, &[("BOXOFFICE_DATA", nowhere.to_str().unwrap())]));
        for way in ["DATABASE_URL", "NATS_READER_URL", "--data DIR", nowhere.join("env").to_str().unwrap()] {
            assert!(text.contains(way), "{way} in {text}");
        }
        assert!(said(find(Some(&nowhere), &[POSTGRES])).contains("--data"));
        std::fs::write(dir.path().join("env"), "BOXOFFICE_URL='http://127.0.0.1:1'\n").unwrap();
        assert!(said(find(Some(dir.path()), &[])).contains("DATABASE_URL is missing in"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_is_shown() {
        let nats = ("NATS_URL", "nats://127.0.0.1:2");
        let text = said(find(None, &[("DATABASE_URL", "postgres://a:secret@[nowhere/c"), nats]));
        assert!(text.contains("DATABASE_URL") && !text.contains("secret"), "{text}");
        let text = said(find(None, &[POSTGRES, ("NATS_URL", "not a url")]));
        assert!(text.contains("NATS_URL in the environment is wrong"), "{text}");
    }
}
