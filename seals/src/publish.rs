//! Publishing checkpoints outside the database. Sealing never waits for it; what was missed is published later.

use std::time::Duration;

use futures::future::BoxFuture;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    reader::{Log, Signed},
    sealer::SealStatus,
};

/// Checkpoints read back at once to be published.
const BATCH_CHECKPOINTS: u16 = 256;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Why a checkpoint was not published, or nobody can say.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct PublishError(pub String);

/// Where checkpoints are published: number N as message N of a stream that takes no other.
pub trait Publisher: Send + Sync {
    /// The number and the text of the last that is there; `None` where there is none.
    fn last(&self) -> BoxFuture<'_, Result<Option<(u64, String)>, PublishError>>;

    /// Publishes number `number`, which must be the next.
    fn publish<'a>(&'a self, number: u64, note: &'a str) -> BoxFuture<'a, Result<(), PublishError>>;
}

/// What one round came to.
enum Round {
    /// All that was signed is there.
    Done,
    /// What is there is not what was signed here: nothing is added to it.
    Contradiction(String),
}

/// Publishes what is signed, until what is there contradicts the database, which is the answer. That is left as it is: it is
/// evidence.
pub(crate) async fn run(log: &Log, publisher: &dyn Publisher, mut signed: watch::Receiver<SealStatus>) -> String {
    let mut failing = false;
    loop {
        signed.mark_unchanged();
        match round(log, publisher).await {
            Ok(Round::Done) => {
                failing = false;
                if signed.changed().await.is_err() {
                    // Nobody signs any more.
                    return std::future::pending().await;
                }
            }
            Ok(Round::Contradiction(what)) => return what,
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "checkpoints are not published now; sealing goes on, and they will be later");
                }
                failing = true;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Publishes what is signed and not published yet, once. Whatever is in the way is told by the next that publishes.
pub(crate) async fn rest(log: &Log, publisher: &dyn Publisher) {
    match round(log, publisher).await {
        Ok(Round::Done) => {}
        Ok(Round::Contradiction(what)) => tracing::warn!(%what, "the last checkpoints are not published"),
        Err(error) => tracing::warn!(%error, "the last checkpoints are not published yet"),
    }
}

async fn round(log: &Log, publisher: &dyn Publisher) -> Result<Round, PublishError> {
    let database = |error: crate::SealError| PublishError(error.to_string());
    let mut last = 0;
    if let Some((number, note)) = publisher.last().await? {
        let ours = log.checkpoints_after(number.saturating_sub(1), 1).await.map_err(database)?;
        match ours.first().filter(|ours| ours.number == number) {
            Some(ours) if ours.note == note => last = number,
            Some(_) => return Ok(Round::Contradiction(format!("checkpoint {number} was published with another text"))),
            None => {
                return Ok(Round::Contradiction(format!(
                    "checkpoint {number} was published, and the database has none: was it restored from a backup?"
                )));
            }
        }
    }
    loop {
        let missing: Vec<Signed> = log.checkpoints_after(last, BATCH_CHECKPOINTS).await.map_err(database)?;
        if missing.is_empty() {
            return Ok(Round::Done);
        }
        for signed in missing {
            publisher.publish(signed.number, &signed.note).await?;
            last = signed.number;
        }
    }
}
