//! What stands between our callers and a provider in trouble: a bound on calls at once, and a circuit breaker. Neither
//! lets a try be written down that would not be made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use recloser::{AsyncRecloser, Recloser};
use tokio::{sync::Semaphore, time::timeout};

/// How long a try waits for one of the others to end: a crowd at a provider that answers is no trouble.
const PLACE_WAIT_MAX: Duration = Duration::from_millis(250);

/// How the provider is guarded.
#[derive(Clone, Copy, Debug)]
pub struct GuardOptions {
    /// Tries to pay at once; one more waits a moment, and is then told to pay a little later.
    pub at_once_max: usize,
    /// Tries that the failure rate is taken of.
    pub window_tries: usize,
    /// Share of failures in the window at which the breaker opens; 0 to 1.
    pub failure_rate: f32,
    /// How long it stays open before it lets probes through.
    pub open_wait: Duration,
    /// Probes that decide whether it closes again.
    pub probes: usize,
}

impl Default for GuardOptions {
    fn default() -> Self {
        Self { at_once_max: 64, window_tries: 40, failure_rate: 0.5, open_wait: Duration::from_secs(5), probes: 5 }
    }
}

/// Why a try was not made, or came to nothing that anybody can use.
#[derive(Debug)]
pub(crate) enum PutOff<E> {
    /// Too many at once.
    Full,
    /// The breaker is open.
    Open,
    /// It was made and failed.
    Failed(E),
}

/// The guard; clones are the same guard.
#[derive(Clone)]
pub(crate) struct Guard {
    places: Arc<Semaphore>,
    breaker: AsyncRecloser,
    open: Arc<AtomicBool>,
}

impl Guard {
    pub fn new(options: GuardOptions) -> Self {
        let breaker = Recloser::custom()
            .error_rate(options.failure_rate)
            .closed_len(options.window_tries)
            .half_open_len(options.probes)
            .open_wait(options.open_wait)
            .build();
        Self {
            places: Arc::new(Semaphore::new(options.at_once_max)),
            breaker: AsyncRecloser::from(breaker),
            open: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether the last try was kept back by an open breaker.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Makes a try, unless that would be of no use now. `counts` says which errors are the provider's trouble.
    pub async fn run<T, E>(
        &self,
        counts: impl Fn(&E) -> bool,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, PutOff<E>> {
        let Ok(Ok(_place)) = timeout(PLACE_WAIT_MAX, self.places.acquire()).await else {
            metrics::counter!("payments_put_off_total", "reason" => "full").increment(1);
            return Err(PutOff::Full);
        };
        let outcome = self.breaker.call_with(counts, work).await;
        let open = matches!(outcome, Err(recloser::Error::Rejected));
        if self.open.swap(open, Ordering::Relaxed) != open {
            tracing::warn!(open, "the circuit breaker before the payment provider has changed");
        }
        metrics::gauge!("payments_breaker_open").set(if open { 1.0 } else { 0.0 });
        outcome.map_err(|error| match error {
            recloser::Error::Rejected => {
                metrics::counter!("payments_put_off_total", "reason" => "open").increment(1);
                PutOff::Open
            }
            recloser::Error::Inner(error) => PutOff::Failed(error),
        })
    }
}
