//! Real servers, the product's parts that make a log on them, and a verification of it all.

use std::{
    env,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use audit::verify::{Breach, Check, Checked, Evidence, Kept, Progress, Report, Seals, Subject, Verdict, verify};
use futures::future::{BoxFuture, join};
use journal::{Journal, JournalOptions, Position};
use nats::{Checkpoints, Relay, StreamOptions, connect};
use payments::{
    Cashier, GuardOptions, TossConfig, TossProvider,
    simulator::{self, Simulator},
};
use projections::{MyPage, Projection, Runner, TicketCounts};
use seals::{PublishError, Publisher, Sealer, last_checkpoint_file};
use stack::{Nats, Postgres, testing::eventually};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come, for each thousand events.
const SOON: Duration = Duration::from_secs(20);
/// How often the sealer signs.
const OFTEN: Duration = Duration::from_millis(100);
/// Events of a log at least, where the environment does not say.
const EVENTS: usize = 5_000;

pub struct World {
    pub journal: Journal,
    pub cashier: Cashier,
    pub nats: Nats,
    pub mypage: PathBuf,
    stop: CancellationToken,
    _simulating: JoinHandle<std::io::Result<()>>,
    dir: TempDir,
    // Last, so that it goes last.
    pub postgres: Postgres,
}

/// How large the log shall be: small in every run of the tests, large in `./dev prove`.
pub fn size() -> usize {
    env::var("BOXOFFICE_AUDIT_EVENTS").map_or(EVENTS, |text| text.parse().unwrap())
}

fn soon() -> Duration {
    SOON * u32::try_from(1 + size() / 20_000).unwrap()
}

impl World {
    pub async fn start() -> Self {
        let (postgres, nats) = join(Postgres::temp(), Nats::temp()).await;
        let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
        let journal = open(&postgres).await;
        // Every HTTP client needs one, those without TLS too.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let simulating = tokio::spawn(simulator::serve(listener, Simulator::new(), stop.clone()));
        let cashier = Cashier::new(journal.clone(), Arc::new(provider(address)), GuardOptions::default());
        let dir = tempfile::tempdir().unwrap();
        let mypage = dir.path().join("mypage.db");
        Self { journal, cashier, nats, mypage, stop, _simulating: simulating, dir, postgres }
    }

    /// Goes on as a process would that remembers nothing of the log.
    pub async fn start_again(&mut self) {
        self.journal = open(&self.postgres).await;
    }

    /// The file of the keys that seal.
    pub fn key_file(&self) -> PathBuf {
        self.dir.path().join("seal.key")
    }

    /// Lets a sealer seal the log up to its end, and publish that; the checkpoint that it signed last.
    pub async fn seal(&self) -> String {
        let client = connect(&self.nats.url(), "sealer").await.unwrap();
        let published = Checkpoints::new(client.clone());
        self.seal_and(Some(Arc::new(Stream(Checkpoints::new(client)))), async |number| {
            published.last().await.unwrap().is_some_and(|(last, _)| last >= number)
        })
        .await
    }

    /// Lets a sealer seal the log up to its end, and publish nothing; the checkpoint that it signed last.
    pub async fn seal_alone(&self) -> String {
        self.seal_and(None, async |_| true).await
    }

    async fn seal_and(&self, publisher: Option<Arc<Stream>>, is_published: impl AsyncFn(u64) -> bool) -> String {
        let mut sealer = Sealer::open(self.journal.clone(), self.key_file()).await.unwrap().every(OFTEN);
        if let Some(publisher) = publisher {
            sealer = sealer.publishing(publisher);
        }
        let (log, stop, head) = (sealer.log().clone(), CancellationToken::new(), self.journal.position().0);
        let running = tokio::spawn(sealer.run(stop.clone()));
        eventually(&format!("position {head} to be sealed and published"), soon(), async || {
            let newest = log.newest().await.unwrap().filter(|newest| newest.size >= head);
            match newest {
                Some(newest) => is_published(newest.number).await,
                None => false,
            }
        })
        .await;
        stop.cancel();
        running.await.unwrap();
        log.newest().await.unwrap().unwrap().note
    }

    /// Makes everything that is made from the log, up to its end.
    pub async fn derive(&self) {
        let counts = TicketCounts::open(self.journal.pool().clone()).await.unwrap();
        let (_reader, histories) = MyPage::open(&self.mypage).await.unwrap();
        self.project(counts).await;
        self.project(histories).await;
        self.mirror().await;
        self.seal().await;
    }

    async fn project<P: Projection>(&self, projection: P) {
        let progress = projection.progress().clone();
        let source = Box::new(self.journal.follow(Position(0)));
        let stop = CancellationToken::new();
        let runner = Runner::new(projection, source, self.journal.pool().clone());
        let running = tokio::spawn(runner.run(stop.clone()));
        assert!(progress.reached(self.journal.position(), soon()).await, "the projection did not catch up");
        stop.cancel();
        running.await.unwrap().unwrap();
    }

    /// Lets a relay bring the mirror up to the end of the log.
    pub async fn mirror(&self) {
        let client = connect(&self.nats.url(), "test").await.unwrap();
        let relay = Relay::new(self.journal.clone(), client, StreamOptions::default());
        let (mut status, stop) = (relay.status(), CancellationToken::new());
        let running = tokio::spawn(relay.run(stop.clone()));
        let head = self.journal.position();
        timeout(soon(), status.wait_for(|status| status.position >= head)).await.expect("the mirror").unwrap();
        stop.cancel();
        running.await.unwrap();
    }

    pub fn subject(&self) -> Subject {
        Subject {
            database: self.postgres.url().parse().unwrap(),
            nats_url: Some(self.nats.reader_url()),
            mypage: Some(self.mypage.clone()),
        }
    }

    pub async fn verify(&self) -> Report {
        self.verify_with(Vec::new()).await
    }

    /// Verifies, against these checkpoints too.
    pub async fn verify_with(&self, kept: Vec<Kept>) -> Report {
        self.verify_by(Evidence { kept, ..self.evidence() }).await
    }

    /// What there is of the seals outside the database.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            last_signed: Some(last_checkpoint_file(&self.key_file())),
            nats_url: Some(self.nats.reader_url()),
            ..Evidence::default()
        }
    }

    /// Verifies, the seals by this.
    pub async fn verify_by(&self, evidence: Evidence) -> Report {
        let began = Instant::now();
        let subject = self.subject();
        let seals = Seals::begin(&subject.database, evidence).await.unwrap();
        let report = verify(&subject, vec![Box::new(seals)], Arc::new(Progress::default())).await.unwrap();
        eprintln!(
            "{} events in {:.2} s, mirror in {:.2} s, {:.2} s in all",
            report.events,
            report.log_seconds,
            report.mirror_seconds,
            began.elapsed().as_secs_f64()
        );
        report
    }

    /// Reads the log and does nothing with it, for comparison.
    pub async fn scan(&self) -> u64 {
        let mut snapshot = audit::Snapshot::take(&self.subject().database).await.unwrap();
        let began = Instant::now();
        let rows = audit::scan(&mut snapshot).await.unwrap();
        eprintln!("{rows} events only read in {:.2} s", began.elapsed().as_secs_f64());
        rows
    }

    /// Runs SQL, which may be several statements, as somebody with every right on the database.
    pub async fn sql(&self, sql: &str) {
        sqlx::raw_sql(sql).execute(self.journal.pool()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One number from the database.
    pub async fn number(&self, sql: &str) -> u64 {
        let number: i64 = sqlx::query_scalar(sql).fetch_one(self.journal.pool()).await.unwrap();
        number.cast_unsigned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Where the checkpoints are published.
struct Stream(Checkpoints);

impl Publisher for Stream {
    fn last(&self) -> BoxFuture<'_, Result<Option<(u64, String)>, PublishError>> {
        Box::pin(async { self.0.last().await.map_err(|error| PublishError(error.to_string())) })
    }

    fn publish<'a>(&'a self, number: u64, note: &'a str) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move { self.0.publish(number, note).await.map_err(|error| PublishError(error.to_string())) })
    }
}

async fn open(postgres: &Postgres) -> Journal {
    Journal::open(postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap()
}

fn provider(address: SocketAddr) -> TossProvider {
    let config = TossConfig::new(format!("http://{address}"), "test_sk_boxoffice").timeout(Duration::from_secs(5));
    TossProvider::new(&config).unwrap()
}

/// A check of a report.
pub fn checked(report: &Report, check: Check) -> &Checked {
    report.checks.iter().find(|checked| checked.check == check).unwrap()
}

/// That nothing is wrong, and that everything was looked at.
#[track_caller]
pub fn assert_passes(report: &Report) {
    for checked in &report.checks {
        let breaches: Vec<String> = checked.first_breaches.iter().map(ToString::to_string).collect();
        assert_eq!(checked.breaches, 0, "{:?}: {breaches:#?}", checked.check);
        assert_eq!(checked.verdict, Verdict::Sound, "{:?}", checked.check);
        assert!(checked.count > 0, "{:?} has looked at nothing", checked.check);
    }
    assert!(report.sound && report.complete);
}

/// That this check has a breach at this position which says all that, and returns it.
#[track_caller]
pub fn assert_found(report: &Report, check: Check, position: u64, says: &[&str]) -> Breach {
    let found = checked(report, check);
    assert_eq!(found.verdict, Verdict::Breached, "{check:?} has found nothing");
    assert!(!report.sound);
    let at = found.first_breaches.iter().filter(|breach| breach.position == Some(Position(position)));
    let told: Vec<String> = found.first_breaches.iter().map(ToString::to_string).collect();
    let says_all = |breach: &&Breach| says.iter().all(|text| breach.to_string().contains(text));
    at.into_iter()
        .find(says_all)
        .unwrap_or_else(|| panic!("{check:?} says nothing of {says:?} at {position}: {told:#?}"))
        .clone()
}

/// That nothing else is wrong.
#[track_caller]
pub fn assert_only(report: &Report, expected: &[Check]) {
    let breached: Vec<Check> =
        report.checks.iter().filter(|checked| checked.breaches > 0).map(|checked| checked.check).collect();
    assert_eq!(breached, expected);
}
