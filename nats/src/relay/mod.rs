//! The relay: the stream's only writer.

mod session;
mod status;

use std::{sync::Arc, time::Duration};

use async_nats::{Client, connection::State};
use journal::{Journal, elect};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::{
    session::IN_FLIGHT_MAX,
    status::{Halt, RelayState, RelayStatus},
};
use self::{
    session::{Interruption, Session},
    status::Board,
};
use crate::{StreamOptions, stream::STREAM};

/// The office that a relay is elected to.
pub const LEASE: &str = "relay";
/// First pause after a failure; it doubles with each that follows without progress.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two tries; they never end.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often the metrics are brought up to date.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// Publishes the journal to the stream, as the one that is elected.
pub struct Relay {
    journal: Journal,
    client: Client,
    options: StreamOptions,
    status: Board,
}

/// Why publishing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Stopped,
    Halted,
}

impl Relay {
    /// A relay of `journal`, not running yet.
    pub fn new(journal: Journal, client: Client, options: StreamOptions) -> Self {
        Self { journal, client, options, status: Board::new() }
    }

    /// What it is doing, from now on.
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// Runs until told to stop: stands for election, publishes while elected, stands again when the lease is lost. Once
    /// halted it gives the lease up and publishes nothing for the rest of its life.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            self.status.set_state(RelayState::Standby);
            let Some(mut lease) = elect(self.journal.connect_options(), LEASE, &stop).await else { return };
            let ended = tokio::select! {
                ended = self.publish_until(&stop) => Some(ended),
                () = lease.lost() => None,
            };
            lease.release().await;
            match ended {
                Some(Ended::Stopped) => return,
                Some(Ended::Halted) => return stop.cancelled().await,
                None => {}
            }
        }
    }

    /// Publishes without being elected, until told to stop or halted. Two that do so at once write the same bytes at the
    /// same sequences, or nothing: the election only spares the work. [`Relay::run`] is what a process wants.
    pub async fn publish(&self, stop: &CancellationToken) {
        self.publish_until(stop).await;
    }

    async fn publish_until(&self, stop: &CancellationToken) -> Ended {
        let measure = async {
            loop {
                self.status.measure(self.journal.position());
                tokio::time::sleep(MEASURE_INTERVAL).await;
            }
        };
        let ended = tokio::select! {
            () = stop.cancelled() => Ended::Stopped,
            () = self.sessions() => Ended::Halted,
            () = measure => Ended::Stopped,
        };
        self.status.measure(self.journal.position());
        ended
    }

    /// One session after another, each from where the stream stands, until one finds that the stream contradicts the
    /// journal.
    async fn sessions(&self) {
        let mut pause = RETRY_PAUSE_MIN;
        let mut known = None;
        loop {
            let before = self.status.position();
            let interruption = Session::new(&self.journal, &self.client, self.options, &self.status).run().await;
            let cause = match interruption {
                Interruption::Halt(halt) => return self.halt(halt),
                Interruption::Resync(cause) => cause.to_string(),
            };
            metrics::counter!("relay_resyncs_total").increment(1);
            let state = match self.client.connection_state() {
                State::Connected => RelayState::CatchingUp,
                State::Pending | State::Disconnected => RelayState::Disconnected,
            };
            self.status.set_state(state);
            let progress = self.status.position() != before;
            if progress || known.as_ref() != Some(&cause) {
                tracing::warn!(%cause, position = %self.status.position(), "the relay reads again where the stream is");
            }
            pause = if progress { RETRY_PAUSE_MIN } else { (pause * 2).min(RETRY_PAUSE_MAX) };
            known = Some(cause);
            tokio::time::sleep(pause).await;
        }
    }

    fn halt(&self, halt: Halt) {
        tracing::error!(stream = STREAM, reason = %halt.reason, remedy = halt.remedy, "the relay is halted");
        self.status.set_state(RelayState::Halted(Arc::new(halt)));
    }
}
