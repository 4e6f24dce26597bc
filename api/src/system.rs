//! The composition: every task of the product in one process, started in order and stopped in order.

use std::{net::SocketAddr, sync::Arc};

use chrono::{TimeDelta, Utc};
use journal::{EventSource, Journal, JournalOptions, Position};
use nats::{MirrorSource, Relay, StreamOptions};
use payments::{
    Cashier, GuardOptions, Metered, Provider, TossProvider,
    judge::SETTLE_AFTER,
    webhooks::{ANSWER_SLACK, Inbox},
};
use projections::{ConcertViews, MyPage, Projection as _, Runner, TicketCounts};
use seals::Sealer;
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    accounts::{self, Accounts, Idempotency, Tokens},
    http::{self, Api, Health, Parts},
    rebuild::{self, Outdated},
    sealing::{self, PublishedCheckpoints},
    settings::Settings,
    telemetry,
    vitals::{self, Standstills, Subject},
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
    /// The table of webhooks cannot be used.
    #[error("the webhooks of the payment provider cannot be stored: {0}")]
    Webhooks(#[source] sqlx::Error),
    /// The seals of the log cannot be made.
    #[error("the log cannot be sealed: {0}")]
    Seals(#[from] seals::SealError),
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
    /// The public key by which what it signs can be checked.
    pub seal_key: String,
    serving: JoinHandle<std::io::Result<()>>,
    /// Work on behalf of callers that may be gone.
    behalf: TaskTracker,
    tasks: TaskTracker,
    /// Ends the tasks, after HTTP has ended.
    stop: CancellationToken,
    sealing: JoinHandle<()>,
    /// Ends the sealer, after all that appends has ended, so that what it signs last is the whole log.
    stop_sealing: CancellationToken,
}

impl System {
    /// Starts everything. Cancel `stop` and then call [`System::join`] to end it.
    pub async fn start(
        settings: Settings,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<Self, SystemError> {
        install_cryptography();
        let address = listener.local_addr().map_err(SystemError::Listen)?;
        let metrics = telemetry::metrics();
        let (process, started_at) = (Uuid::new_v4(), Utc::now());
        let database = settings.database.application_name(&vitals::session_name(process));
        let journal = Journal::open(database, JournalOptions::default()).await?;
        let secret = match settings.secret {
            Some(secret) => secret,
            None => accounts::installation_secret(journal.pool()).await?.ok_or(SystemError::Secret)?,
        };
        let accounts = Accounts::open(journal.clone(), &secret).await?;
        // One for whoever waits, and one for what nobody waits for, which may take longer.
        let providers = match settings.provider {
            Some(config) => {
                let answer_wait = TimeDelta::from_std(config.timeout).unwrap_or(SETTLE_AFTER) + ANSWER_SLACK;
                let waited_for: Arc<dyn Provider> = Arc::new(Metered(TossProvider::new(&config)?));
                let unattended: Arc<dyn Provider> = Arc::new(Metered(TossProvider::new(&config.in_background())?));
                Some((waited_for, unattended, answer_wait))
            }
            None => None,
        };
        let (tasks, ends) = (TaskTracker::new(), CancellationToken::new());

        let relay = Relay::new(
            journal.clone(),
            nats::connect(&settings.nats_url, "boxoffice relay").await?,
            StreamOptions::default(),
        );
        let relay_status = relay.status();
        let published = nats::connect(&settings.nats_url, "boxoffice sealer").await?;
        let sealer = Sealer::open(journal.clone(), &settings.seal_key_path).await?;
        let sealer = sealer.publishing(Arc::new(PublishedCheckpoints::new(published)));
        let (seals, seal_status) = (sealer.log().clone(), sealer.status());
        let seal_key = sealer.keys().first().map(|key| key.verifier().to_string()).unwrap_or_default();
        let reader = nats::connect(&settings.nats_reader_url, "boxoffice projections").await?;
        // Each where its table is (ADR 11): the counts beside the log, the histories beside its mirror.
        let beside: Box<dyn EventSource> = Box::new(journal.follow(Position(0)));
        let mirror: Box<dyn EventSource> = Box::new(MirrorSource::new(journal.clone(), reader, "mypage", Position(0)));
        let counts = TicketCounts::open(journal.pool().clone()).await?;
        let counts_progress = counts.progress().clone();
        let concerts = ConcertViews::open(journal.pool().clone()).await?;
        let (mypage, mypage_writer) = MyPage::open(&settings.mypage_path).await?;
        let wake = Wake::default();

        tasks.spawn(relay.run(ends.clone()));
        tasks.spawn(saga::run(journal.clone(), ends.clone()));
        let standstills = Standstills::default();
        let stop_sealing = CancellationToken::new();
        let sealing = tokio::spawn(sealing::run(sealer, standstills.clone(), stop_sealing.clone()));
        let parked = [("ticket-counts", counts.parked().clone()), ("mypage", mypage_writer.parked().clone())];
        let runner = Runner::new(counts, beside, journal.pool().clone());
        tasks.spawn(project("ticket-counts", runner, standstills.clone(), ends.clone()));
        let runner = Runner::new(mypage_writer, mirror, journal.pool().clone());
        tasks.spawn(project("mypage", runner, standstills.clone(), ends.clone()));
        for outdated in [Outdated::TicketCounts, Outdated::Mypage(settings.mypage_path.clone())] {
            tasks.spawn(rebuild::if_outdated(outdated, journal.pool().clone(), ends.clone()));
        }
        tasks.spawn(concerts.clone().run(Some(counts_progress.clone()), ends.clone()));
        tasks.spawn(wake.clone().run(journal.clone(), accounts.clone(), ends.clone()));
        let (cashier, inbox) = match providers {
            Some((waited_for, unattended, answer_wait)) => {
                let inbox = Inbox::open(&journal).await.map_err(SystemError::Webhooks)?;
                let (heard, ends) = (Some(inbox.clone()), ends.clone());
                tasks.spawn(payments::due::run_with(journal.clone(), unattended, heard, answer_wait, ends));
                (Some(Cashier::new(journal.clone(), waited_for, GuardOptions::default())), Some(inbox))
            }
            None => (None, None),
        };

        let behalf = TaskTracker::new();
        let api = Api::from(Parts {
            journal: journal.clone(),
            accounts: accounts.clone(),
            tokens: Tokens::new(&secret),
            idempotency: Idempotency::new(journal.pool().clone(), &secret),
            concerts,
            mypage,
            inbox,
            cashier,
            wake,
            seals,
            health: Health { relay: relay_status, seals: seal_status, ticket_counts: counts_progress, metrics },
            tasks: behalf.clone(),
            stop,
        });
        let subject = Subject { process, started_at, listen: address, api: api.clone(), standstills, parked };
        tasks.spawn(vitals::keep(subject, ends.clone()));
        tasks.close();
        let serving = tokio::spawn(http::serve(listener, api));
        Ok(Self { address, journal, accounts, seal_key, serving, behalf, tasks, stop: ends, sealing, stop_sealing })
    }

    /// Waits until HTTP has ended, then ends the rest: what callers were promised, the tasks, the sealer, and last the journal.
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
        self.stop_sealing.cancel();
        if let Err(error) = self.sealing.await {
            tracing::error!(%error, "the sealer panicked");
        }
        self.journal.close().await;
    }
}

/// Every HTTP client of this process needs it, those without TLS too.
pub(crate) fn install_cryptography() {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
}

/// Runs a projection; one that needs a person stands still and says why, and the rest goes on.
async fn project<P: projections::Projection>(
    name: &'static str,
    runner: Runner<P>,
    standstills: Standstills,
    stop: CancellationToken,
) {
    if let Err(error) = runner.run(stop).await {
        standstills.add(name, &error);
        tracing::error!(%error, "a projection stands still until somebody looks");
    }
}
