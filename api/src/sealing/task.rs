//! The sealer among the tasks of a process: where it publishes, and who is told when it halts.

use futures::future::BoxFuture;
use nats::{Checkpoints, Client};
use seals::{PublishError, Publisher, SealState, Sealer};
use tokio_util::sync::CancellationToken;

use crate::vitals::Standstills;

/// What the sealer is called where projections stand still.
pub(crate) const NAME: &str = "seals";

/// The stream of checkpoints, as the sealer wants it.
pub(crate) struct PublishedCheckpoints(Checkpoints);

impl PublishedCheckpoints {
    pub fn new(client: Client) -> Self {
        Self(Checkpoints::new(client))
    }
}

impl Publisher for PublishedCheckpoints {
    fn last(&self) -> BoxFuture<'_, Result<Option<(u64, String)>, PublishError>> {
        Box::pin(async { self.0.last().await.map_err(|error| PublishError(error.to_string())) })
    }

    fn publish<'a>(&'a self, number: u64, note: &'a str) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move { self.0.publish(number, note).await.map_err(|error| PublishError(error.to_string())) })
    }
}

/// Seals until told to stop. Once it is halted, `boxoffice status` says so too; the rest of the process goes on.
pub(crate) async fn run(sealer: Sealer, standstills: Standstills, stop: CancellationToken) {
    let mut status = sealer.status();
    let watching = async {
        let halted = status.wait_for(|status| matches!(status.state, SealState::Halted(_))).await;
        if let Some(SealState::Halted(halt)) = halted.ok().map(|status| status.state.clone()) {
            standstills.add(NAME, &*halt);
        }
    };
    tokio::join!(sealer.run(stop), watching);
}
