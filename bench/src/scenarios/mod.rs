//! What is measured: one file a scenario, or a few that are alike.

mod accept;
mod book;
mod commands;
mod journal_limit;
mod lifecycle;
mod many;
mod name;
mod office;
mod peers;
mod reads;
mod sample;
mod scan_limit;
mod sell_out;

use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;

pub(crate) use commands::{Used, run as run_command};
pub(crate) use name::{Events, MemoryOf, Name, Place};
pub(crate) use office::{Booked, Lag, Office};

use crate::{
    error::Error,
    grown::Past,
    load::{Load, Outcome},
    processes::Pid,
    product::Product,
};

/// What scenarios run on.
pub(crate) struct Stage {
    pub product: Product,
    pub office: Office,
    pub connections: usize,
}

/// How large the scenarios are that have a size.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Size {
    /// Events of the long past.
    pub events: u64,
    /// Concerts of `many`.
    pub concerts: usize,
    /// Tickets of `sell-out`.
    pub tickets: u64,
}

/// Something that can be measured.
pub(crate) trait Scenario {
    /// One stretch of load, and whatever must follow from it before it counts.
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>>;

    /// Whether what was acknowledged is what is there.
    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>>;

    /// The processes of a server of its own, itself first, where it has one.
    fn servers(&self) -> Vec<Pid> {
        Vec::new()
    }
}

/// A scenario that is ready to run, or why this product has none.
pub(crate) type Prepared = Result<Box<dyn Scenario>, String>;

/// Makes a scenario ready to run on its stage.
pub(crate) async fn prepare(name: Name, stage: &mut Stage, past: Option<Past>, size: Size) -> Result<Prepared, Error> {
    let command = |what| -> Result<Prepared, Error> {
        let found = commands::Commands::find(what, &stage.product)?;
        Ok(found.map(|command| Box::new(command) as Box<dyn Scenario>))
    };
    let scenario: Box<dyn Scenario> = match name {
        Name::HttpLimit => Box::new(peers::HttpLimit::prepare(stage).await?),
        Name::JournalLimit => Box::new(journal_limit::JournalLimit::prepare(stage).await?),
        Name::ScanLimit => Box::new(scan_limit::ScanLimit::default()),
        Name::CrudPeer => Box::new(peers::CrudPeer::prepare(stage).await?),
        Name::CrudPeerLifecycle => Box::new(peers::CrudPeerLifecycle::prepare(stage).await?),
        Name::NaiveEsPeer => Box::new(peers::NaiveEsPeer::prepare(stage).await?),
        Name::Accept => Box::new(accept::Accept::prepare(stage).await?),
        Name::Book => Box::new(book::Book::prepare(stage).await?),
        Name::Lifecycle => Box::new(lifecycle::Lifecycle::prepare(stage).await?),
        Name::ReadsHistory => Box::new(reads::Reads::history(stage).await?),
        Name::ReadsConcert => Box::new(reads::Reads::concert(stage).await?),
        Name::SellOut => Box::new(sell_out::SellOut::new(size.tickets)),
        Name::Growth => match past {
            Some(past) => Box::new(book::Book::after(past, stage)),
            None => return Ok(Err("no log with a long past".to_owned())),
        },
        Name::Many => Box::new(many::Many::prepare(stage, size.concerts).await?),
        Name::RebuildTicketCounts => return command(commands::What::REBUILD_TICKET_COUNTS),
        Name::RebuildMypage => return command(commands::What::REBUILD_MYPAGE),
        Name::Verify => return command(commands::What::VERIFY),
    };
    Ok(Ok(scenario))
}

/// What a stretch of load has led to.
#[derive(Default)]
pub(crate) struct Round {
    pub outcome: Outcome,
    /// From the last answer until what was accepted was carried out, where answers do not wait for that.
    pub drain: Option<Duration>,
    /// How long it took, where it is not the time that decides how much is done.
    pub took: Option<Duration>,
    /// What a process used that has ended by now.
    pub used: Option<Used>,
}

impl Round {
    /// Load, and nothing else to say of it.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, ..Self::default() }
    }
}

/// Something that must be so.
#[derive(Clone, Serialize)]
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
