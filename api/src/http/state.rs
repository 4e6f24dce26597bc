//! What every handler can reach.

use std::{ops::Deref, sync::Arc};

use journal::Journal;
use nats::RelayStatus;
use payments::{Cashier, webhooks::Inbox};
use projections::{ConcertViews, MyPage, Progress};
use seals::SealStatus;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::{Accounts, Idempotency, Tokens},
    wake::Wake,
};

/// What every handler is given. It is cloned for every request, several times, so it is one pointer.
#[derive(Clone)]
pub(crate) struct Api(Arc<Parts>);

impl From<Parts> for Api {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The API's parts.
pub(crate) struct Parts {
    pub journal: Journal,
    pub accounts: Accounts,
    pub tokens: Tokens,
    pub idempotency: Idempotency,
    pub concerts: ConcertViews,
    pub mypage: MyPage,
    /// `None` where no payment provider is configured.
    pub cashier: Option<Cashier>,
    /// Where the provider's webhooks go; `None` as well there.
    pub inbox: Option<Inbox>,
    pub wake: Wake,
    /// The log as it is sealed.
    pub seals: seals::Log,
    pub health: Health,
    /// Work that goes on when its caller is gone, finished before the process ends.
    pub tasks: TaskTracker,
    /// Cancelled when the process is to end: streams end then.
    pub stop: CancellationToken,
}

/// What `/readyz` and `/metrics` look at.
pub(crate) struct Health {
    pub relay: watch::Receiver<RelayStatus>,
    pub seals: watch::Receiver<SealStatus>,
    pub ticket_counts: Progress,
    pub metrics: metrics_exporter_prometheus::PrometheusHandle,
}
