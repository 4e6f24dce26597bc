//! As many at once as there are connections.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{Connection, Latency};
use crate::error::Error;

/// Different failures that are told apart; further ones are counted together.
const FAILURES_MAX: usize = 8;
/// Characters that are shown of a failure.
const FAILURE_CHARS_MAX: usize = 300;

/// What somebody does once on a connection, as one measured thing.
pub(crate) trait Visit: Send + Sync + 'static {
    /// Does it. An error says what was not as it should be.
    fn visit(&self, connection: &mut Connection, buyer: usize) -> impl Future<Output = Result<(), Error>> + Send;
}

/// How often it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Again as soon as the answer is there: what is the most that can be done?
    Closed,
    /// At a fixed rate, whatever became of earlier ones: how long does it take? Measured from when each was due, so
    /// that a stall counts for all that fell due meanwhile (no coordinated omission). Includes the lateness of our own
    /// timer, up to a millisecond.
    Open {
        /// Of all connections together.
        per_second: f64,
    },
}

/// One stretch of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub pace: Pace,
    /// Nobody begins after this.
    pub lasts: Duration,
    /// Nobody begins after so many in all, where that is bounded.
    pub times: Option<u64>,
}

/// What became of it.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    /// When the first could begin: all connections were open then.
    pub began: Option<Instant>,
    /// Done within the time.
    pub in_time: u64,
    /// Done, also those that began in time and ended after it.
    pub done: u64,
    /// Not done, by what was wrong.
    pub failures: BTreeMap<String, u64>,
    pub latency: Latency,
}

/// Opens `connections` to `address`, then lets everybody do it for as long as the load lasts, and waits until the last is
/// done.
pub(crate) async fn drive<V: Visit>(
    address: SocketAddr,
    connections: usize,
    visit: &Arc<V>,
    load: Load,
) -> Result<Outcome, Error> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let left = load.times.map(|times| Arc::new(AtomicU64::new(times)));
    let begin = Instant::now();
    let outcome = Arc::new(Mutex::new(Outcome { began: Some(begin), ..Outcome::default() }));
    let tasks: Vec<_> = open
        .into_iter()
        .enumerate()
        .map(|(buyer, connection)| {
            let (visit, outcome, left) = (Arc::clone(visit), Arc::clone(&outcome), left.clone());
            tokio::spawn(One { visit, outcome, address, buyer, buyers: connections, begin, load, left }.run(connection))
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let outcome = std::mem::take(&mut *outcome.lock());
    Ok(outcome)
}

/// One connection's part in a load.
struct One<V> {
    visit: Arc<V>,
    outcome: Arc<Mutex<Outcome>>,
    address: SocketAddr,
    buyer: usize,
    buyers: usize,
    begin: Instant,
    load: Load,
    /// How many times are left to all together.
    left: Option<Arc<AtomicU64>>,
}

impl<V: Visit> One<V> {
    async fn run(self, mut connection: Connection) -> Result<(), Error> {
        let deadline = self.begin + self.load.lasts;
        let mut times = 0;
        loop {
            let due = match self.load.pace {
                Pace::Closed => Instant::now(),
                Pace::Open { per_second } => self.begin + self.after(times, per_second),
            };
            if due >= deadline || !self.takes_one() {
                return Ok(());
            }
            sleep_until(due).await;
            let result = self.visit.visit(&mut connection, self.buyer).await;
            let end = Instant::now();
            let broken = matches!(result, Err(Error::Http(_)));
            self.outcome.lock().count(result, end - due, end <= deadline);
            if broken {
                connection = Connection::open(self.address).await?;
            }
            times += 1;
        }
    }

    /// Whether there is one left, which is then taken.
    fn takes_one(&self) -> bool {
        let Some(left) = &self.left else { return true };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// When this connection's turn comes after so many before: all connections take turns at equal distances.
    #[expect(clippy::cast_precision_loss, reason = "turns within minutes are far below 2^52")]
    fn after(&self, times: usize, per_second: f64) -> Duration {
        Duration::from_secs_f64((self.buyer + times * self.buyers) as f64 / per_second)
    }
}

impl Outcome {
    fn count(&mut self, result: Result<(), Error>, took: Duration, in_time: bool) {
        match result {
            Ok(()) => {
                self.done += 1;
                self.in_time += u64::from(in_time);
                self.latency.record(took);
            }
            Err(error) => {
                let known = self.failures.len() < FAILURES_MAX;
                let mut text: String = error.to_string().chars().take(FAILURE_CHARS_MAX).collect();
                if !known && !self.failures.contains_key(&text) {
                    "others".clone_into(&mut text);
                }
                *self.failures.entry(text).or_default() += 1;
            }
        }
    }

    /// How many were not done.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}
