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
use follow::call;
pub(crate) use follow::{Followed, follow};
use futures::future::join_all;
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
    /// Those for whose outcome a fan waits, first.
    const ALL: [Self; 3] = [Self::Settle, Self::Verify, Self::Refund];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Refund => "refund",
            Self::Verify => "verify",
        }
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
    run_with(journal, provider, None, webhooks::ANSWER_WAIT, stop).await;
}

/// Like [`run`], and heeds what comes into this `inbox` at once, but of a try younger than `answer_wait` waits for the
/// answer.
///
/// These calls pass by the cashier's breaker and bound. They are few at once ([`attend`] and [`webhooks`] have bounds of
/// their own) and back off by themselves; nobody waits for them; and they are what ends doubt, so a provider that is
/// better off is not left alone by them until somebody pays.
pub async fn run_with(
    journal: Journal,
    provider: Arc<dyn Provider>,
    inbox: Option<Inbox>,
    answer_wait: chrono::Duration,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let Some(mut lease) = elect(journal.connect_options(), LEASE, &stop).await else { return };
        let (due, nothing) = (Kind::ALL.map(|kind| (kind, Notify::new())), Notify::new());
        let arrived = inbox.as_ref().map_or(&nothing, Inbox::arrived);
        let work = async {
            create(&journal).await;
            tokio::join!(
                note(&journal, &due),
                attend(&journal, &provider, &due),
                heed(&journal, &provider, arrived, answer_wait),
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

async fn note(journal: &Journal, due: &[(Kind, Notify)]) {
    loop {
        let error = match Notes::resume(journal).await {
            Ok(mut notes) => loop {
                match notes.step().await {
                    Ok(true) => due.iter().for_each(|(_, woken)| woken.notify_one()),
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

/// Each kind by itself: tens of thousands of refunds must not keep those waiting who want to know whether they have paid.
async fn attend(journal: &Journal, provider: &Arc<dyn Provider>, due: &[(Kind, Notify)]) {
    let attendant = Attendant::new(journal.clone(), Arc::clone(provider));
    join_all(due.iter().map(|(kind, woken)| {
        let attendant = &attendant;
        async move {
            loop {
                rest(attendant.round_of(*kind).await, woken).await;
            }
        }
    }))
    .await;
}

async fn heed(journal: &Journal, provider: &Arc<dyn Provider>, arrived: &Notify, answer_wait: chrono::Duration) {
    let heeder = Heeder::new(journal.clone(), Arc::clone(provider)).answer_wait(answer_wait);
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
