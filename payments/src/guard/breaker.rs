//! The circuit breaker, with a face: the crate that decides does not tell its state, so this asks it, and keeps what it
//! does not say.

use std::{
    collections::VecDeque,
    future,
    time::{Duration, Instant},
};

use futures::FutureExt;
use parking_lot::Mutex;
use recloser::{AsyncRecloser, Recloser, RecloserBuilder};

use super::GuardOptions;

/// What the circuit breaker does with tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets them through.
    Closed,
    /// Keeps them back.
    Open,
    /// Was open long enough: lets some through, to see how they fare.
    HalfOpen,
}

impl BreakerState {
    const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The name, as in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Every use of the crate's breaker is under the lock and takes no time, so what is seen of it is what it is.
pub(super) struct Breaker {
    recloser: AsyncRecloser,
    options: GuardOptions,
    seen: Mutex<Seen>,
}

struct Seen {
    state: BreakerState,
    /// Since when it is open, if it is.
    opened: Option<Instant>,
    /// While half-open: whether the latest probes failed, oldest first; at most [`GuardOptions::probes`].
    probed: VecDeque<bool>,
    /// Probes under way.
    probing: usize,
}

/// A try that was let through. Dropped before it ended, it says nothing about the provider.
pub(super) struct Admitted<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    pub fn new(options: GuardOptions) -> Self {
        let options =
            GuardOptions { probes: options.probes.max(1), window_tries: options.window_tries.max(1), ..options };
        Self::of(settings(options), options)
    }

    fn of(settings: RecloserBuilder, options: GuardOptions) -> Self {
        let seen = Seen { state: BreakerState::Closed, opened: None, probed: VecDeque::new(), probing: 0 };
        seen.measure();
        Self { recloser: AsyncRecloser::from(settings.build()), options, seen: Mutex::new(seen) }
    }

    /// What it would do now. Nobody needs to come for it to be no longer open: that its time is up is enough.
    pub fn state(&self) -> BreakerState {
        let mut seen = self.seen.lock();
        self.look(&mut seen);
        seen.measure();
        seen.state
    }

    /// How long it stays open still; nothing where it is not.
    pub fn open_for(&self) -> Duration {
        let mut seen = self.seen.lock();
        self.look(&mut seen);
        seen.opened.map_or(Duration::ZERO, |since| self.options.open_wait.saturating_sub(since.elapsed()))
    }

    /// Lets a try through, or not.
    pub fn admit(&self) -> Option<Admitted<'_>> {
        let mut seen = self.seen.lock();
        self.look(&mut seen);
        let is_probe = match seen.state {
            BreakerState::Closed => false,
            BreakerState::Open => return None,
            // The crate would let everybody through until enough of them came back: too many for one in trouble.
            BreakerState::HalfOpen if seen.probing >= self.options.probes => return None,
            BreakerState::HalfOpen => true,
        };
        seen.probing += usize::from(is_probe);
        Some(Admitted { breaker: self, is_probe })
    }

    /// Asks whether a call would be let through, without making one: a call that never ends leaves no outcome.
    fn look(&self, seen: &mut Seen) {
        let never = future::pending::<Result<(), ()>>();
        let admits = self.recloser.call(never).now_or_never().is_none();
        match (seen.state, admits) {
            (BreakerState::Closed | BreakerState::HalfOpen, true) | (BreakerState::Open, false) => {}
            (BreakerState::Closed | BreakerState::HalfOpen, false) => seen.change(BreakerState::Open),
            (BreakerState::Open, true) => seen.change(BreakerState::HalfOpen),
        }
    }

    fn note(&self, failed: bool) {
        let mut seen = self.seen.lock();
        self.look(&mut seen);
        if seen.state == BreakerState::Open {
            return;
        }
        let outcome = future::ready(if failed { Err(()) } else { Ok(()) });
        // Whether it is let through was just asked; its outcome is known already.
        let _recorded = self.recloser.call(outcome).now_or_never();
        if seen.state == BreakerState::HalfOpen {
            self.weigh(&mut seen, failed);
        }
        self.look(&mut seen);
    }

    /// What the crate does with the outcome of a probe (its `RingBuffer`): once the window is full, a success at a rate
    /// of failures not above the threshold closes, and a failure at one not below it opens.
    fn weigh(&self, seen: &mut Seen, failed: bool) {
        let was_full = seen.probed.len() == self.options.probes;
        if was_full {
            seen.probed.pop_front();
        }
        seen.probed.push_back(failed);
        if !was_full {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of probes")]
        let rate = seen.probed.iter().filter(|failed| **failed).count() as f32 / self.options.probes as f32;
        if failed && rate >= self.options.failure_rate {
            seen.change(BreakerState::Open);
        } else if !failed && rate <= self.options.failure_rate {
            seen.change(BreakerState::Closed);
        }
    }
}

fn settings(options: GuardOptions) -> RecloserBuilder {
    Recloser::custom()
        .error_rate(options.failure_rate)
        .closed_len(options.window_tries)
        .half_open_len(options.probes)
        .open_wait(options.open_wait)
}

impl Admitted<'_> {
    /// The try came to its end; `failed` if by the provider's fault.
    pub fn ended(self, failed: bool) {
        self.breaker.note(failed);
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.seen.lock().probing -= 1;
        }
    }
}

impl Seen {
    /// Tells of a change, once.
    fn change(&mut self, to: BreakerState) {
        self.state = to;
        self.opened = (to == BreakerState::Open).then(Instant::now);
        self.probed.clear();
        match to {
            BreakerState::Open => tracing::warn!(
                state = to.as_str(),
                "the payment provider is in trouble: the circuit breaker puts payments off for a while"
            ),
            BreakerState::HalfOpen => {
                tracing::info!(state = to.as_str(), "the circuit breaker lets some payments through to the provider");
            }
            BreakerState::Closed => {
                tracing::info!(
                    state = to.as_str(),
                    "the payment provider is well again: the circuit breaker is closed"
                );
            }
        }
        metrics::counter!("payments_breaker_changes_total", "to" => to.as_str()).increment(1);
        self.measure();
    }

    fn measure(&self) {
        for state in BreakerState::ALL {
            metrics::gauge!("payments_breaker", "state" => state.as_str())
                .set(f64::from(u8::from(state == self.state)));
        }
    }
}

#[cfg(test)]
mod tests {
    use BreakerState::{Closed, HalfOpen, Open};

    use super::*;

    const LONG: Duration = Duration::from_hours(1);
    /// As good as none, and yet there is time to see it open.
    const SHORT: Duration = Duration::from_millis(2);
    const WINDOW: usize = 8;
    /// So that exactly the threshold can be met.
    const PROBES: usize = 4;
    /// Probes of the longest history.
    const HISTORY_MAX: u32 = 7;

    fn breaker(open_wait: Duration) -> Breaker {
        Breaker::new(GuardOptions { window_tries: WINDOW, probes: PROBES, open_wait, ..GuardOptions::default() })
    }

    fn fails(breaker: &Breaker, times: usize) {
        (0..times).for_each(|_| breaker.note(true));
    }

    /// One that was open and is half-open now. Should this thread have slept for all the time that it was open, nobody
    /// has seen it; then another will do.
    fn half_open(make: impl Fn() -> Breaker) -> Breaker {
        let opened = || {
            let breaker = make();
            fails(&breaker, WINDOW + 1);
            breaker
        };
        let breaker = std::iter::repeat_with(opened).find(|breaker| breaker.state() != Closed).unwrap();
        while breaker.state() == Open {}
        breaker
    }

    fn half_opened() -> Breaker {
        half_open(|| breaker(SHORT))
    }

    #[test]
    fn it_opens_when_enough_of_the_window_failed_and_keeps_everybody_back() {
        let breaker = breaker(LONG);
        fails(&breaker, WINDOW);
        assert_eq!(breaker.state(), Closed, "the window is only just full");
        fails(&breaker, 1);
        assert_eq!(breaker.state(), Open);
        assert!(breaker.admit().is_none());
        let left = breaker.open_for();
        assert!(left > LONG / 2 && left <= LONG, "{left:?}");
    }

    #[test]
    fn what_is_not_open_has_no_time_left() {
        assert_eq!(breaker(LONG).open_for(), Duration::ZERO);
        assert_eq!(half_opened().open_for(), Duration::ZERO);
    }

    #[test]
    fn it_is_half_open_when_its_time_is_up_though_nobody_comes() {
        assert_eq!(half_opened().state(), HalfOpen);
    }

    #[test]
    fn half_open_it_lets_only_as_many_through_as_it_needs() {
        let breaker = half_opened();
        let mut admitted: Vec<_> = (0..PROBES).map(|_| breaker.admit().unwrap()).collect();
        assert!(breaker.admit().is_none());
        // One that hung up leaves its place to another, and no trace.
        admitted.pop();
        assert!(breaker.admit().is_some());
        assert_eq!(breaker.state(), HalfOpen);
    }

    #[test]
    fn probes_that_get_through_close_it() {
        let breaker = half_opened();
        for _ in 0..=PROBES {
            assert_eq!(breaker.state(), HalfOpen);
            breaker.admit().unwrap().ended(false);
        }
        assert_eq!(breaker.state(), Closed);
        // Closed in truth, and not only in our eyes: a window of its own length decides again.
        fails(&breaker, WINDOW);
        assert_eq!(breaker.state(), Closed);
    }

    /// Half-open, and once it opens again it stays so.
    struct ThenForEver;

    impl recloser::WaitStrategy for ThenForEver {
        fn next_wait(&self, _: u32, _: Duration) -> Duration {
            LONG
        }
    }

    fn half_opened_once() -> Breaker {
        let options =
            GuardOptions { window_tries: WINDOW, probes: PROBES, open_wait: SHORT, ..GuardOptions::default() };
        half_open(|| Breaker::of(settings(options).open_wait_strategy(ThenForEver), options))
    }

    #[test]
    fn probes_that_fail_open_it_again() {
        let breaker = half_opened_once();
        fails(&breaker, PROBES + 1);
        assert_eq!(breaker.state(), Open);
        breaker.note(false);
        assert_eq!(breaker.state(), Open, "what ends late says nothing");
    }

    /// Our picture of the crate's breaker is true after every history of probes.
    #[test]
    fn what_is_seen_is_what_it_is() {
        let raw_failures_open = |breaker: &Breaker, times: usize| {
            for _ in 0..times {
                let _failed = breaker.recloser.call(future::ready(Err::<(), ()>(()))).now_or_never();
            }
            breaker.recloser.call(future::pending::<Result<(), ()>>()).now_or_never().is_some()
        };
        let mut ends = [0; 3];
        let histories = (0..=HISTORY_MAX).flat_map(|probes| (0_u32..1 << probes).map(move |history| (probes, history)));
        for (probes, history) in histories {
            let breaker = half_opened_once();
            for step in (0..probes).take_while(|_| breaker.seen.lock().state == HalfOpen) {
                breaker.note(history >> step & 1 == 1);
            }
            let state = breaker.seen.lock().state;
            match state {
                // Half-open, it would have opened by then.
                Closed => assert!(!raw_failures_open(&breaker, WINDOW), "{probes} {history:b}"),
                // Closed, it would not.
                HalfOpen => assert!(raw_failures_open(&breaker, PROBES + 1), "{probes} {history:b}"),
                Open => assert!(raw_failures_open(&breaker, 0), "{probes} {history:b}"),
            }
            ends[state as usize] += 1;
        }
        assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
    }
}
