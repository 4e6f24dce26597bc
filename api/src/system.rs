//! The composition: every task of the product in one process, started in order and stopped in order.

use std::{net::SocketAddr, sync::Arc};

use journal::{EventSource, Journal, JournalOptions, Position};
use nats::{MirrorSource, Relay, StreamOptions};
use payments::{Cashier, GuardOptions, Provider, TossProvider};
use projections::{ConcertViews, MyPage, Projection as _, Runner, TicketCounts};
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::{self, Accounts, Idempotency, Tokens},
    http::{self, Api, Health},
    settings::Settings,
    telemetry,
    wake::Wake,
};

/// Why the product could not be started.
#[derive(Debug, Error)]
pub enum SystemError {
    /// Postgres cannot be used.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// nats-server cannot be used.
    #[error(transparent)]
    Nats(#[from] nats::ConnectError),
    /// A projection cannot be used.
    #[error(transparent)]
    Projection(#[from] projections::Error),
    /// The accounts' tables cannot be used.
    #[error("the accounts cannot be read: {0}")]
    Accounts(#[from] sqlx::Error),
    /// The secret in the database is damaged.
    #[error("the secret in the table `installation` is not 64 hexadecimal digits; set BOXOFFICE_SECRET instead")]
    Secret,
    /// The provider's settings are wrong.
    #[error("PROVIDER_URL or PROVIDER_SECRET is wrong: {0}")]
    Provider(#[from] payments::toss::TossConfigError),
    /// The address is taken, or not ours.
    #[error("cannot listen: {0}")]
    Listen(#[source] std::io::Error),
}

/// The running product.
pub struct System {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its journal.
    pub journal: Journal,
    /// Its accounts.
    pub accounts: Accounts,
    serving: JoinHandle<std::io::Result<()>>,
    /// Work on behalf of callers that may be gone.
    behalf: TaskTracker,
    tasks: TaskTracker,
    /// Ends the tasks, after HTTP has ended.
    stop: CancellationToken,
}

impl System {
    /// Starts everything. Cancel `stop` and then call [`System::join`] to end it.
    pub async fn start(
        settings: Settings,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<Self, SystemError> {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a TLS provider was installed before");
        }
        let address = listener.local_addr().map_err(SystemError::Listen)?;
        let metrics = telemetry::metrics();
        let journal = Journal::open(settings.database, JournalOptions::default()).await?;
        let secret = match settings.secret {
            Some(secret) => secret,
            None => accounts::installation_secret(journal.pool()).await?.ok_or(SystemError::Secret)?,
        };
        let accounts = Accounts::open(journal.clone(), &secret).await?;
        let provider: Option<Arc<dyn Provider>> = match &settings.provider {
            Some(config) => Some(Arc::new(TossProvider::new(config)?)),
            None => None,
        };
        let (tasks, ends) = (TaskTracker::new(), CancellationToken::new());

        let relay = Relay::new(
            journal.clone(),
            nats::connect(&settings.nats_url, "boxoffice relay").await?,
            StreamOptions::default(),
        );
        let relay_status = relay.status();
        let reader = nats::connect(&settings.nats_reader_url, "boxoffice projections").await?;
        let mirror = |name: &'static str| -> Box<dyn EventSource> {
            Box::new(MirrorSource::new(journal.clone(), reader.clone(), name, Position(0)))
        };
        let counts = TicketCounts::open(journal.pool().clone()).await?;
        let counts_progress = counts.progress().clone();
        let concerts = ConcertViews::open(journal.pool().clone()).await?;
        let (mypage, mypage_writer) = MyPage::open(&settings.mypage_path).await?;
        let wake = Wake::default();

        tasks.spawn(relay.run(ends.clone()));
        tasks.spawn(saga::run(journal.clone(), ends.clone()));
        tasks.spawn(project(Runner::new(counts, mirror("ticket-counts"), journal.pool().clone()), ends.clone()));
        tasks.spawn(project(Runner::new(mypage_writer, mirror("mypage"), journal.pool().clone()), ends.clone()));
        tasks.spawn(concerts.clone().run(Some(counts_progress.clone()), ends.clone()));
        tasks.spawn(wake.clone().run(journal.clone(), accounts.clone(), ends.clone()));
        if let Some(provider) = &provider {
            tasks.spawn(payments::due::run(journal.clone(), Arc::clone(provider), ends.clone()));
        }
        tasks.close();

        let behalf = TaskTracker::new();
        let api = Api {
            journal: journal.clone(),
            accounts: accounts.clone(),
            tokens: Arc::new(Tokens::new(&secret)),
            idempotency: Idempotency::new(journal.pool().clone(), &secret),
            concerts,
            mypage,
            cashier: provider.map(|provider| Cashier::new(journal.clone(), provider, GuardOptions::default())),
            wake,
            health: Health { relay: relay_status, ticket_counts: counts_progress, metrics },
            tasks: behalf.clone(),
            stop,
        };
        let serving = tokio::spawn(http::serve(listener, api));
        Ok(Self { address, journal, accounts, serving, behalf, tasks, stop: ends })
    }

    /// Waits until HTTP has ended, then ends the rest: what callers were promised, the tasks, and last the journal.
    pub async fn join(self) {
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "HTTP ended"),
            Err(error) => tracing::error!(%error, "HTTP panicked"),
        }
        self.behalf.close();
        self.behalf.wait().await;
        self.stop.cancel();
        self.tasks.wait().await;
        self.journal.close().await;
    }
}

/// Runs a projection; one that needs a person stands still and says why, and the rest goes on.
async fn project<P: projections::Projection>(runner: Runner<P>, stop: CancellationToken) {
    if let Err(error) = runner.run(stop).await {
        tracing::error!(%error, "a projection stands still until somebody looks");
    }
}
