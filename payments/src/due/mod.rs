//! What must still be done for payments: tries whose outcome nobody wrote down are settled by asking the provider, and
//! money that must go back is sent back, again and again until it is through. Both survive any restart. Whoever is elected
//! to do that also heeds the provider's [webhooks].

mod attend;
mod backlog;
mod follow;
mod note;
mod retry;

use std::{sync::Arc, time::Duration};

pub use attend::Attendant;
pub(crate) use follow::{Followed, follow};
use journal::{Journal, elect};
pub use note::{CHECKPOINT, Notes};
pub(crate) use retry::{backoff, stored_reason};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    Provider,
    webhooks::{self, Heeder, Inbox},
};

/// The office that the attendant is elected to.
pub const LEASE: &str = "payments";
/// Pause after an error.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What can be due for a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Find out what became of a try.
    Settle,
    /// Send money back.
    Refund,
    /// See whether money came for a try that was given up.
    Verify,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Settle, Self::Refund, Self::Verify];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Refund => "refund",
            Self::Verify => "verify",
        }
    }

    fn from_str(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Why due work could not be noted or done; it is tried again.
#[derive(Debug, Error)]
pub enum DueError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] journal::ReadError),
    /// An event of the log is not one that today's code reads.
    #[error("event {position}: {source}")]
    Decode {
        /// Which event.
        position: journal::Position,
        /// Why not.
        source: aggregates::DecodeError,
    },
    /// Postgres did not answer.
    #[error("the due payments cannot be read or written: {0}")]
    Database(#[from] sqlx::Error),
    /// Another process noted the same events.
    #[error("the checkpoint of the due payments was moved by somebody else")]
    CheckpointMoved,
}

/// Notes and does what is due until told to stop, whenever elected; webhooks that are taken elsewhere are found soon.
pub async fn run(journal: Journal, provider: Arc<dyn Provider>, stop: CancellationToken) {
    run_with(journal, provider, None, stop).await;
}

/// Like [`run`], and heeds what comes into this `inbox` at once.
pub async fn run_with(journal: Journal, provider: Arc<dyn Provider>, inbox: Option<Inbox>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let Some(mut lease) = elect(journal.connect_options(), LEASE, &stop).await else { return };
        let (due, nothing) = (Notify::new(), Notify::new());
        let arrived = inbox.as_ref().map_or(&nothing, Inbox::arrived);
        let work = async {
            create(&journal).await;
            tokio::join!(
                note(&journal, &due),
                attend(&journal, &provider, &due),
                heed(&journal, &provider, arrived),
                backlog::watch(&journal),
            );
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = lease.lost() => {}
            () = work => {}
        }
        backlog::forget();
        lease.release().await;
    }
}

/// Makes the tables: whoever needs one must find it, whoever is first.
async fn create(journal: &Journal) {
    while let Err(error) = tables(journal).await {
        tracing::error!(%error, "the tables of due payments cannot be made; trying again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn tables(journal: &Journal) -> Result<(), sqlx::Error> {
    note::create(journal.pool()).await?;
    webhooks::create(journal.pool()).await
}

async fn note(journal: &Journal, due: &Notify) {
    loop {
        let error = match Notes::resume(journal).await {
            Ok(mut notes) => loop {
                match notes.step().await {
                    Ok(true) => due.notify_one(),
                    Ok(false) => {}
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        tracing::error!(%error, "due payments are not noted; trying again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn attend(journal: &Journal, provider: &Arc<dyn Provider>, due: &Notify) {
    let attendant = Attendant::new(journal.clone(), Arc::clone(provider));
    loop {
        rest(attendant.round().await, due).await;
    }
}

async fn heed(journal: &Journal, provider: &Arc<dyn Provider>, arrived: &Notify) {
    let heeder = Heeder::new(journal.clone(), Arc::clone(provider));
    loop {
        rest(heeder.round().await, arrived).await;
    }
}

/// Until the next round: at once where there was something to do, else when woken, or soon.
async fn rest(round: Result<bool, DueError>, woken: &Notify) {
    match round {
        Ok(true) => {}
        Ok(false) => {
            tokio::select! {
                () = woken.notified() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
        Err(error) => {
            tracing::error!(%error, "due payments are not attended to; trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
