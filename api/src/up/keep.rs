//! Keeping the private servers alive: one that ends is started again, and the system goes on.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use stack::{Nats, Postgres};
use tokio_util::sync::CancellationToken;

/// Pause after a server could not be started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// One of the private servers.
#[derive(Clone)]
pub(super) enum Server {
    Postgres(Arc<Postgres>),
    Nats(Arc<Nats>),
}

impl Server {
    const fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "Postgres",
            Self::Nats(_) => "nats-server",
        }
    }

    async fn wait_exit(&self) -> ExitStatus {
        match self {
            Self::Postgres(server) => server.wait_exit().await,
            Self::Nats(server) => server.wait_exit().await,
        }
    }

    async fn start_again(&self) -> Result<(), stack::Error> {
        match self {
            Self::Postgres(server) => server.start_again().await,
            Self::Nats(server) => server.start_again().await,
        }
    }

    /// Starts it again whenever it ends, until told to stop.
    pub async fn keep(self, stop: CancellationToken) {
        let name = self.name();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                exit = self.wait_exit() => tracing::error!(name, %exit, "ended; starting it again"),
            }
            while let Err(error) = self.start_again().await {
                tracing::error!(name, %error, "could not be started again; trying again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RESTART_PAUSE) => {}
                }
            }
            tracing::info!(name, "is back");
        }
    }

    /// Stops it in order.
    pub async fn stop(&self) {
        let stopped = match self {
            Self::Postgres(server) => server.stop().await,
            Self::Nats(server) => server.stop().await,
        };
        if let Err(error) = stopped {
            tracing::warn!(%error, name = self.name(), "did not stop in order");
        }
    }
}

/// The provider's simulator, until it is told to stop.
pub(super) async fn provider(serving: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "the payment provider's simulator ended");
    }
}
