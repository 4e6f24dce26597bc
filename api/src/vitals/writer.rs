//! Writes the row, again and again.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Subject, rows};

/// How often the row is written.
pub(crate) const WRITE_INTERVAL: Duration = Duration::from_secs(2);
/// How long writing or deleting it may take; then the next time has to do.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Keeps the row of this process until told to stop, and then deletes it. Nothing depends on it: where Postgres does not
/// take it, it is tried again at the next time.
pub(crate) async fn keep(subject: Subject, stop: CancellationToken) {
    let mut ticks = interval(WRITE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut created, mut failing) = (false, false);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let written = tokio::select! {
            () = stop.cancelled() => break,
            written = timeout(WRITE_WAIT_MAX, write(&subject, created)) => written.unwrap_or(Err(sqlx::Error::PoolTimedOut)),
        };
        // After an error also the table is made sure of.
        created = written.is_ok();
        match written {
            Ok(()) => failing = false,
            Err(error) if failing => tracing::debug!(%error, "vitals are still not written"),
            Err(error) => {
                failing = true;
                tracing::warn!(%error, "vitals are not written; `boxoffice status` will miss this process");
            }
        }
    }
    if let Ok(Err(error)) = timeout(WRITE_WAIT_MAX, rows::remove(subject.pool(), subject.process)).await {
        tracing::debug!(%error, "the vitals of this process stay until they are too old");
    }
}

async fn write(subject: &Subject, created: bool) -> Result<(), sqlx::Error> {
    if !created {
        rows::create(subject.pool()).await?;
    }
    rows::write(subject.pool(), subject.process, &subject.vitals()).await
}
