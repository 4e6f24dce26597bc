//! Exactly one of a kind: a Postgres advisory lock elects it. Losing it is noticed late, so whoever holds it is also
//! fenced by what it writes: expected sequences and checkpoints.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

/// Pause between two tries to be elected.
const ELECTION_PAUSE: Duration = Duration::from_millis(250);
/// How often the holder asks whether its session, and with it the lock, still lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How long an answer to that may take.
const HEARTBEAT_WAIT_MAX: Duration = Duration::from_secs(5);

/// The right to be the one `name`; it ends with the Postgres session that holds it.
pub struct Lease {
    connection: PgConnection,
    name: String,
}

/// Waits until elected, or until told to stop (then `None`).
pub async fn elect(options: &PgConnectOptions, name: &'static str, stop: &CancellationToken) -> Option<Lease> {
    loop {
        match seize(options, name).await {
            Ok(Some(lease)) => {
                tracing::info!(name, "elected");
                return Some(lease);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, name, "the election could not be held; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(ELECTION_PAUSE) => {}
        }
    }
}

/// The lease, if nobody has it now.
pub async fn seize(options: &PgConnectOptions, name: &str) -> Result<Option<Lease>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let elected: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtext('boxoffice'), hashtext($1))")
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
    if elected {
        return Ok(Some(Lease { connection, name: name.to_owned() }));
    }
    connection.close().await?;
    Ok(None)
}

impl Lease {
    /// Returns when the lease is lost.
    pub async fn lost(&mut self) {
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            let error = match tokio::time::timeout(HEARTBEAT_WAIT_MAX, self.connection.ping()).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            tracing::warn!(%error, name = self.name, "no longer elected");
            return;
        }
    }

    /// Gives it up, so that another can be elected at once.
    pub async fn release(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, name = self.name, "the lease ended with its connection");
        }
    }
}
