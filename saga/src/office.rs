//! Exactly one saga at a time: elected by a lease, fenced by its checkpoint.

use std::time::Duration;

use journal::{AppendError, Journal, Position, elect};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{BATCH_EVENTS_MAX, Cancellations, Deadlines, Pace, Saga, StepError};

/// The office that a saga is elected to.
pub const LEASE: &str = "saga";
/// Pause after an error, before the saga resumes from its checkpoint.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Reacts to the log until told to stop, whenever elected.
pub async fn run(journal: Journal, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let Some(mut lease) = elect(journal.connect_options(), LEASE, &stop).await else { return };
        metrics::gauge!("saga_elected").set(1.0);
        let (tell, pace) = Pace::new();
        tokio::select! {
            () = stop.cancelled() => {}
            () = lease.lost() => {}
            () = work(&journal, &tell) => {}
            () = expire(&journal, &pace) => {}
            () = call_off(&journal, &pace) => {}
        }
        metrics::gauge!("saga_elected").set(0.0);
        lease.release().await;
    }
}

/// Works until cancelled; a batch that is cancelled was either queued as a whole or not at all.
async fn work(journal: &Journal, tell: &watch::Sender<Position>) {
    loop {
        let error = match Saga::resume(journal).await {
            Ok(mut saga) => follow(journal, &mut saga, tell).await,
            Err(error) => error,
        };
        match error {
            StepError::Append(AppendError::CheckpointMoved) => {
                tracing::warn!("another saga moved the checkpoint; resuming from there");
            }
            error => tracing::error!(%error, "the saga stands still; resuming from its checkpoint"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Ends holds at their deadlines until cancelled.
async fn expire(journal: &Journal, pace: &Pace) {
    loop {
        match Deadlines::resume(journal).await {
            Ok(deadlines) => match deadlines.at(pace.clone()).run().await {},
            Err(error) => tracing::error!(%error, "holds do not expire; trying again"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Cancels the bookings of concerts that are called off, until cancelled.
async fn call_off(journal: &Journal, pace: &Pace) {
    loop {
        let error = match Cancellations::resume(journal).await {
            Ok(cancellations) => cancellations.at(pace.clone()).run().await,
            Err(error) => error,
        };
        tracing::error!(%error, "bookings of concerts that were called off are not cancelled; trying again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn follow(journal: &Journal, saga: &mut Saga, tell: &watch::Sender<Position>) -> StepError {
    loop {
        if let Err(error) = saga.step(BATCH_EVENTS_MAX).await {
            return error;
        }
        tell.send_replace(saga.position());
        let lag = journal.position().0.saturating_sub(saga.position().0);
        #[expect(clippy::cast_precision_loss, reason = "a lag is far below 2^52 events")]
        metrics::gauge!("saga_lag_events").set(lag as f64);
    }
}
