//! What is measured: one file a scenario.

mod accept;
mod book;
mod http_limit;
mod journal_limit;
mod lifecycle;
mod office;
mod sample;

use std::time::Duration;

use clap::ValueEnum;
use futures::future::BoxFuture;
use serde::Serialize;

pub(crate) use http_limit::serve as serve_http_limit;
pub(crate) use office::{Lag, Office};

use crate::{
    error::Error,
    load::{Load, Outcome},
    processes::Pid,
    product::Product,
};

/// The scenarios by the names they have in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Name {
    /// A bare axum route that reads and answers JSON of the same size.
    HttpLimit,
    /// The same events written to the same kind of table by one multi-row insert after the other.
    JournalLimit,
    /// A booking, until its tickets are held and its payment is requested.
    Book,
    /// A booking, until it is accepted; the backlog is drained and counted.
    Accept,
    /// A booking until it is approved and its tickets count as sold.
    Lifecycle,
}

impl Name {
    /// All of them, in the order in which they take their turns.
    pub const ALL: [Self; 5] = [Self::HttpLimit, Self::JournalLimit, Self::Book, Self::Accept, Self::Lifecycle];

    /// As in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpLimit => "http-limit",
            Self::JournalLimit => "journal-limit",
            Self::Book => "book",
            Self::Accept => "accept",
            Self::Lifecycle => "lifecycle",
        }
    }

    /// What `perSecond` counts.
    pub const fn counts(self) -> &'static str {
        match self {
            Self::HttpLimit => "requests",
            Self::JournalLimit => "events",
            Self::Book | Self::Accept => "bookings",
            Self::Lifecycle => "lifecycles",
        }
    }

    /// Whether it can be done at a fixed rate, for latencies without coordinated omission. A loop of inserts has no
    /// such rate; its latencies are those of one insert.
    pub const fn has_open_loop(self) -> bool {
        match self {
            Self::JournalLimit => false,
            Self::HttpLimit | Self::Book | Self::Accept | Self::Lifecycle => true,
        }
    }

    /// Makes it ready to run.
    pub async fn prepare(self, stage: &mut Stage) -> Result<Box<dyn Scenario>, Error> {
        Ok(match self {
            Self::HttpLimit => Box::new(http_limit::HttpLimit::prepare(stage).await?),
            Self::JournalLimit => Box::new(journal_limit::JournalLimit::prepare(stage).await?),
            Self::Book => Box::new(book::Book::prepare(stage).await?),
            Self::Accept => Box::new(accept::Accept::prepare(stage).await?),
            Self::Lifecycle => Box::new(lifecycle::Lifecycle::prepare(stage).await?),
        })
    }
}

/// What scenarios run on.
pub(crate) struct Stage {
    pub product: Product,
    pub office: Office,
    pub connections: usize,
}

/// Something that can be measured.
pub(crate) trait Scenario {
    /// One stretch of load, and whatever must follow from it before it counts.
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>>;

    /// Whether what was acknowledged is what is there.
    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>>;

    /// The server of its own, where it has one.
    fn server(&self) -> Option<Pid> {
        None
    }
}

/// What a stretch of load has led to.
#[derive(Default)]
pub(crate) struct Round {
    pub outcome: Outcome,
    /// From the last answer until what was accepted was carried out, where answers do not wait for that.
    pub drain: Option<Duration>,
}

/// Something that must be so.
#[derive(Serialize)]
pub(crate) struct Check {
    pub what: String,
    pub expected: String,
    pub found: String,
    pub holds: bool,
}

impl Check {
    /// Two numbers that must be the same.
    pub fn equal(what: impl Into<String>, expected: u64, found: u64) -> Self {
        Self { what: what.into(), expected: expected.to_string(), found: found.to_string(), holds: expected == found }
    }

    /// As many as were acknowledged, and perhaps those whose answer got lost.
    pub fn acknowledged(what: impl Into<String>, acknowledged: u64, unclear: u64, found: u64) -> Self {
        let most = acknowledged + unclear;
        let expected = if unclear == 0 { acknowledged.to_string() } else { format!("{acknowledged} to {most}") };
        Self { what: what.into(), expected, found: found.to_string(), holds: (acknowledged..=most).contains(&found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_was_told_of_may_be_there_or_not_and_nothing_else() {
        assert!(Check::equal("x", 3, 3).holds && !Check::equal("x", 3, 4).holds);
        let holds = |found| Check::acknowledged("x", 3, 2, found).holds;
        assert_eq!([2, 3, 5, 6].map(holds), [false, true, true, false]);
    }
}
