//! Two processes over one database: each a journal, a cashier, and the offices that one of them is elected to.

use std::{sync::Arc, time::Duration};

use journal::{Journal, JournalOptions};
use parking_lot::Mutex;
use payments::{Cashier, GuardOptions, Provider, due};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::database::Database;

/// What a client is connected to.
#[derive(Clone)]
pub struct Process {
    pub journal: Journal,
    pub cashier: Cashier,
}

struct Running {
    process: Process,
    offices: JoinSet<()>,
}

pub struct Processes {
    url: String,
    provider: Arc<dyn Provider>,
    running: Mutex<[Option<Running>; 2]>,
    /// Journals of processes that have died; what they had queued may be written after their death.
    dead: Mutex<JoinSet<()>>,
}

impl Processes {
    pub async fn start(database: &Database, provider: Arc<dyn Provider>) -> Self {
        let (running, dead) = (Mutex::new([None, None]), Mutex::new(JoinSet::new()));
        let processes = Self { url: database.url(), provider, running, dead };
        processes.restart(0).await;
        database.prepare().await;
        processes.restart(1).await;
        processes
    }

    /// One of them, as it is now; it may be dead before the answer comes.
    pub fn any(&self, nth: usize) -> Process {
        let running = self.running.lock();
        let alive = |nth: usize| running[nth % running.len()].as_ref().map(|running| running.process.clone());
        alive(nth).or_else(|| alive(nth + 1)).expect("one of the two lives")
    }

    /// It dies with all that it was doing, at whatever point that was, and another takes its place.
    pub async fn crash(&self, nth: usize) {
        let Some(mut died) = self.running.lock()[nth].take() else { return };
        died.offices.shutdown().await;
        self.dead.lock().spawn(async move { died.process.journal.close().await });
        self.restart(nth).await;
    }

    async fn restart(&self, nth: usize) {
        let journal = open(&self.url).await;
        // The breaker is not what is proved here: it would keep most tries from the provider.
        let guard = GuardOptions { at_once_max: 1_000, failure_rate: 1.0, ..GuardOptions::default() };
        let cashier = Cashier::new(journal.clone(), Arc::clone(&self.provider), guard);
        let mut offices = JoinSet::new();
        offices.spawn(saga::run(journal.clone(), CancellationToken::new()));
        offices.spawn(due::run(journal.clone(), Arc::clone(&self.provider), CancellationToken::new()));
        self.running.lock()[nth] = Some(Running { process: Process { journal, cashier }, offices });
    }

    pub async fn stop(&self) {
        for nth in 0..2 {
            let Some(mut last) = self.running.lock()[nth].take() else { continue };
            last.offices.shutdown().await;
            last.process.journal.close().await;
        }
        let dead = std::mem::take(&mut *self.dead.lock());
        dead.join_all().await;
    }
}

/// Opens a journal, also when its first connections are cut.
async fn open(url: &str) -> Journal {
    for _ in 0..20 {
        match Journal::open(url.parse().unwrap(), JournalOptions::default()).await {
            Ok(journal) => return journal,
            Err(error) => eprintln!("a process could not start: {error}"),
        }
    }
    panic!("the journal cannot be opened");
}

/// Waits for `work`, but leaves it at a point that depends on `polls` only: as a process that dies, or a client that
/// hangs up, does. `None` if it was left.
pub async fn cut<T>(work: impl Future<Output = T>, polls: u64) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        let outcome = work.as_mut().poll(context);
        left = left.saturating_sub(1);
        match outcome {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    })
    .await
}

/// How long a client waits for an answer before it hangs up.
pub const CLIENT_WAIT_MAX: Duration = Duration::from_secs(10);
