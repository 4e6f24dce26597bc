//! Keeps bulk work from running ahead of the saga.
//!
//! What follows from each booking goes through the saga, in the order of the log. Tens of thousands of bookings ended in
//! one go would stand before everybody else's: whoever books then would wait until all of them are through. So each round
//! of bulk work waits until the saga has seen the round before.

use std::time::Duration;

use journal::Position;
use tokio::{sync::watch, time::timeout};

/// How long a round waits for the saga, at most. One that stands still must not keep holds from ending: a booking that has
/// ended can no longer be paid for, also where its tickets are not free yet.
pub const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often whoever waits is told that it still does.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the saga is, told by the one that runs in the same office. By default nobody tells, and nobody waits.
#[derive(Clone, Debug, Default)]
pub struct Pace(Option<watch::Receiver<Position>>);

impl Pace {
    /// The pace, and where to tell it.
    pub fn new() -> (watch::Sender<Position>, Self) {
        let (tell, told) = watch::channel(Position(0));
        (tell, Self(Some(told)))
    }

    /// Waits until the saga has come to `position`, or is gone; [`WAIT_MAX`] at most. Calls `meanwhile` now and then.
    pub(crate) async fn reached(&self, position: Position, meanwhile: impl Fn()) {
        if !self.reached_within(position, WAIT_MAX, LOOK_EVERY, meanwhile).await {
            tracing::warn!(%position, "the saga does not come along; bulk work goes on without it");
        }
    }

    async fn reached_within(&self, position: Position, max: Duration, every: Duration, meanwhile: impl Fn()) -> bool {
        let Some(mut told) = self.0.clone() else { return true };
        let wait = async {
            while timeout(every, told.wait_for(|at| *at >= position)).await.is_err() {
                meanwhile();
            }
        };
        timeout(max, wait).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_round_waits_for_the_saga_but_not_for_ever() {
        let (tell, pace) = Pace::new();
        let looks = Cell::new(0);
        let (max, every) = (Duration::from_millis(50), Duration::from_millis(5));
        let looked = || looks.set(looks.get() + 1);
        assert!(!pace.reached_within(Position(2), max, every, looked).await, "nobody came");
        assert!(looks.get() > 0, "and whoever waits was told so");
        tell.send_replace(Position(2));
        pace.reached(Position(2), || panic!("it is there")).await;
        drop(tell);
        pace.reached(Position(3), || panic!("there is nobody to wait for")).await;
    }
}
