//! What stands between our callers and a provider in trouble: a bound on calls at once, and a circuit breaker. Neither
//! lets a try be written down that would not be made.

mod breaker;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

use breaker::Breaker;
pub use breaker::BreakerState;

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
    /// Probes at once, and how many of them decide whether it closes again.
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
    /// The breaker is open, or as many probes as it lets through are under way.
    Open,
    /// It was made and failed.
    Failed(E),
}

/// The guard; clones are the same guard.
#[derive(Clone)]
pub(crate) struct Guard {
    places: Arc<Semaphore>,
    breaker: Arc<Breaker>,
}

impl Guard {
    pub fn new(options: GuardOptions) -> Self {
        Self { places: Arc::new(Semaphore::new(options.at_once_max)), breaker: Arc::new(Breaker::new(options)) }
    }

    /// What the breaker would do with a try that came now.
    pub fn state(&self) -> BreakerState {
        self.breaker.state()
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
        let Some(admitted) = self.breaker.admit() else {
            metrics::counter!("payments_put_off_total", "reason" => "open").increment(1);
            return Err(PutOff::Open);
        };
        let outcome = work.await;
        admitted.ended(outcome.as_ref().is_err_and(counts));
        outcome.map_err(PutOff::Failed)
    }
}
