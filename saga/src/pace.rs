//! Keeps bulk work from running ahead of the saga.
//!
//! What follows from each booking goes through the saga, in the order of the log. Tens of thousands of bookings ended in
//! one go would stand before everybody else's: whoever books then would wait until all of them are through. So each round
//! of bulk work waits until the saga has seen the round before.

use journal::Position;
use tokio::sync::watch;

/// Where the saga is, told by the one that runs in the same office. By default nobody tells, and nobody waits.
#[derive(Clone, Debug, Default)]
pub struct Pace(Option<watch::Receiver<Position>>);

impl Pace {
    /// The pace, and where to tell it.
    pub fn new() -> (watch::Sender<Position>, Self) {
        let (tell, told) = watch::channel(Position(0));
        (tell, Self(Some(told)))
    }

    /// Waits until the saga has come to `position`, or is gone.
    pub(crate) async fn reached(&self, position: Position) {
        if let Some(mut told) = self.0.clone() {
            let _gone = told.wait_for(|at| *at >= position).await;
        }
    }
}
