//! What stands between our callers and a provider in trouble: a bound on calls at once, and a circuit breaker. Neither
//! lets a try be written down that would not be made.

mod breaker;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

pub use breaker::BreakerState;
use breaker::{Admitted, Breaker};

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

/// Why a try is not made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptBack {
    /// Too many at once.
    Full,
    /// The breaker is open, or as many probes as it lets through are under way.
    Open,
}

/// What a try has heard of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing: it never came to a call. That says nothing about the provider either.
    Nothing,
    /// Answers.
    Answers,
    /// Trouble.
    Trouble,
}

/// A try that is let through. Dropped, it says nothing about the provider.
pub(crate) struct Pass<'a> {
    admitted: Admitted<'a>,
    _place: SemaphorePermit<'a>,
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

    /// How long the breaker stays open still; nothing where it is not.
    pub fn open_for(&self) -> Duration {
        self.breaker.open_for()
    }

    /// Lets a try through, unless it would be of no use now.
    pub async fn enter(&self) -> Result<Pass<'_>, KeptBack> {
        let Ok(Ok(place)) = timeout(PLACE_WAIT_MAX, self.places.acquire()).await else {
            metrics::counter!("payments_put_off_total", "reason" => "full").increment(1);
            return Err(KeptBack::Full);
        };
        let Some(admitted) = self.breaker.admit() else {
            metrics::counter!("payments_put_off_total", "reason" => "open").increment(1);
            return Err(KeptBack::Open);
        };
        Ok(Pass { admitted, _place: place })
    }
}

impl Pass<'_> {
    /// The try is over, and has heard this.
    pub fn ended(self, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Answers => self.admitted.ended(false),
            Heard::Trouble => self.admitted.ended(true),
        }
    }
}
