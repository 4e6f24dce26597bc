//! What the audits have in common: where the log is, how an aggregate is named, and how they end.

use std::{
    io::{self, BufWriter, Stdout, Write},
    path::PathBuf,
    process::ExitCode,
};

use aggregates::AggregateType;
use audit::{Error, Snapshot};
use clap::Args;

use crate::{
    cli,
    status::place::{PlaceError, Source},
};

/// What our sessions are called in Postgres.
const SESSION: &str = "boxoffice audit";

/// Where the log is.
#[derive(Args)]
pub(super) struct Place {
    /// The data directory of an `up`, whose file `env` says where its servers are; without it, DATABASE_URL, NATS_READER_URL
    /// and MYPAGE_PATH do, or the directory of BOXOFFICE_DATA, or `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Why an audit ends early.
pub(super) enum Fault {
    /// Nobody knows where to look, or an argument is wrong.
    Misused(String),
    /// It could not look, or what is asked for is not there.
    Audit(Error),
}

impl From<PlaceError> for Fault {
    fn from(error: PlaceError) -> Self {
        Self::Misused(error.to_string())
    }
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Audit(error.into())
    }
}

impl Place {
    pub fn source(self) -> Result<Source, Fault> {
        Ok(Source::find(self.data, |name| std::env::var(name).ok())?)
    }

    /// The log as it is now.
    pub async fn snapshot(self) -> Result<Snapshot, Fault> {
        Ok(Snapshot::take(&self.source()?.database(SESSION)?).await?)
    }
}

/// The session of who looks.
pub(super) fn database(source: &Source) -> Result<sqlx::postgres::PgConnectOptions, Fault> {
    Ok(source.database(SESSION)?)
}

/// How it ended. Whoever closed the pipe has seen enough.
pub(super) fn ended(outcome: Result<(), Fault>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Misused(message)) => cli::misused(&message),
        Err(Fault::Audit(error)) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(Fault::Audit(error)) => cli::failed(&error.to_string()),
    }
}

/// Standard output, for much.
pub(super) fn out() -> BufWriter<Stdout> {
    BufWriter::new(io::stdout())
}

/// A document, as people read JSON.
pub(super) fn document(value: &impl serde::Serialize) -> Result<(), Fault> {
    let mut out = out();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// A document a line, as programs read a stream of them.
pub(super) fn line(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), Error> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// A kind of aggregate by its name, in the singular or the plural.
pub(crate) fn aggregate(name: &str) -> Result<AggregateType, String> {
    let singular = name.strip_suffix('s').unwrap_or(name);
    singular.parse().map_err(|_| "it is none of user, concert, booking, payment".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_is_named_in_the_singular_and_in_the_plural() {
        for kind in AggregateType::ALL {
            assert_eq!(aggregate(kind.as_str()).unwrap(), kind);
            assert_eq!(aggregate(&format!("{kind}s")).unwrap(), kind);
        }
        assert!(aggregate("bookingss").is_err() && aggregate("").is_err() && aggregate("s").is_err());
    }
}
