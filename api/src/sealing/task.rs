//! The sealer among the tasks of a process: where it publishes, and who is told when it halts.

use std::sync::Arc;

use futures::future::BoxFuture;
use nats::{Checkpoints, Client};
use seals::{PublishError, Publisher, SealHalt, SealState, SealStatus, Sealer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::vitals::Standstills;

/// What the sealer is called where projections stand still.
pub(crate) const NAME: &str = "seals";
/// What publishes its checkpoints is called there.
const PUBLISHER: &str = "checkpoint publisher";

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

/// Seals until told to stop. Once that is halted, or the publishing of it, `boxoffice status` says so too; the rest of the
/// process goes on.
pub(crate) async fn run(sealer: Sealer, standstills: Standstills, stop: CancellationToken) {
    let status = sealer.status();
    let halted = tell(status.clone(), &standstills, NAME, |status| match &status.state {
        SealState::Halted(halt) => Some(Arc::clone(halt)),
        SealState::Standby | SealState::Sealing | SealState::Interrupted(_) => None,
    });
    let unpublished = tell(status, &standstills, PUBLISHER, |status| status.unpublished.clone());
    tokio::join!(sealer.run(stop), halted, unpublished);
}

/// Tells of a standstill, once there is one; ends with the sealer.
async fn tell(
    mut status: watch::Receiver<SealStatus>,
    standstills: &Standstills,
    name: &str,
    halt: impl Fn(&SealStatus) -> Option<Arc<SealHalt>>,
) {
    let halted = status.wait_for(|status| halt(status).is_some()).await;
    if let Some(halt) = halted.ok().and_then(|status| halt(&status)) {
        standstills.add(name, &*halt);
    }
}
