//! What must still be done for payments: tries whose outcome nobody wrote down are settled by asking the provider, and
//! money that must go back is sent back, again and again until it is through. Both survive any restart.

mod attend;
mod note;

use std::{sync::Arc, time::Duration};

pub use attend::Attendant;
use journal::{Journal, elect};
pub use note::{CHECKPOINT, Notes};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Provider;

/// The office that the attendant is elected to.
pub const LEASE: &str = "payments";
/// Pause after an error.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What can be due for a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// Find out what became of a try.
    Settle,
    /// Send money back.
    Refund,
    /// See whether money came for a try that was given up.
    Verify,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Refund => "refund",
            Self::Verify => "verify",
        }
    }

    fn from_str(name: &str) -> Option<Self> {
        [Self::Settle, Self::Refund, Self::Verify].into_iter().find(|kind| kind.as_str() == name)
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

/// Notes and does what is due until told to stop, whenever elected.
pub async fn run(journal: Journal, provider: Arc<dyn Provider>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let Some(mut lease) = elect(journal.connect_options(), LEASE, &stop).await else { return };
        let due = Notify::new();
        let work = async {
            create(&journal).await;
            tokio::join!(note(&journal, &due), attend(&journal, &provider, &due));
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = lease.lost() => {}
            () = work => {}
        }
        lease.release().await;
    }
}

/// Makes the table: whoever attends must find it, whoever of the two is first.
async fn create(journal: &Journal) {
    while let Err(error) = note::create(journal.pool()).await {
        tracing::error!(%error, "the table of due payments cannot be made; trying again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn note(journal: &Journal, due: &Notify) {
    loop {
        let error = match Notes::resume(journal).await {
            Ok(mut notes) => loop {
                match notes.step().await {
                    Ok(()) => due.notify_one(),
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
        match attendant.round().await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    () = due.notified() => {}
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "due payments are not attended to; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
