//! One run of publishing: from what the stream holds to whatever interrupts it.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        Context,
        context::{ContextBuilder, PublishAckFuture, PublishError, PublishErrorKind},
        stream::Stream,
    },
};
use journal::{Journal, Position, ReadError, last_position};
use thiserror::Error;
use tokio::sync::mpsc;

use super::{Halt, RelayState, status::Board};
use crate::{
    AgreementError, Divergence, StreamError, StreamOptions,
    agreement::compare,
    connect::require_support,
    envelope::{Outgoing, to_message},
    stream::ensure_stream,
};

/// Messages that are published and not acknowledged yet, at most; the next one waits.
pub const IN_FLIGHT_MAX: usize = 1_000;
/// Messages of which only the last asks to be acknowledged, at most. Each is accepted only after the one before it, so the
/// word of the last is the word of all; and where one is refused, so is all that follows it.
const ACKNOWLEDGED_AT_ONCE_MAX: usize = 50;
/// Events taken from the journal at once, at most.
const TAKE_EVENTS_MAX: usize = 512;
/// Longest wait for the oldest message in flight to be acknowledged, and for any other answer of the server.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How often the stream is looked at, to see that it is what it was.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Why a session is over.
pub(super) enum Interruption {
    /// The stream must not be written to.
    Halt(Halt),
    /// What is in flight is lost or unknown: read where the stream stands, and go on from there.
    Resync(Cause),
}

/// Why a session has to begin anew.
#[derive(Debug, Error)]
pub(super) enum Cause {
    #[error("NATS cannot be reached")]
    Disconnected,
    #[error("the connection to NATS was made anew")]
    Reconnected,
    #[error(transparent)]
    Stream(StreamError),
    #[error(transparent)]
    Agreement(AgreementError),
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error("position {position} was not acknowledged: {source}")]
    Publish { position: Position, source: PublishError },
    #[error("position {position} could not be sent: {source}")]
    Send { position: Position, source: async_nats::client::PublishError },
    #[error("position {position} was acknowledged as message {sequence}")]
    Elsewhere { position: Position, sequence: u64 },
    #[error("the stream ends at {found}, not between {confirmed} and {sent}")]
    Moved { found: u64, confirmed: Position, sent: u64 },
    #[error("the journal ends at {head}, before {confirmed}")]
    JournalCut { head: Position, confirmed: Position },
}

impl<E: Into<Cause>> From<E> for Interruption {
    fn from(cause: E) -> Self {
        Self::Resync(cause.into())
    }
}

pub(super) struct Session<'a> {
    journal: &'a Journal,
    client: &'a Client,
    options: StreamOptions,
    status: &'a Board,
    /// Of its own, because dropped acknowledgements go on holding their permits in it for a while.
    context: Context,
    /// How often the client had connected when the session began.
    connects: u64,
    /// The last sequence that may be in the stream by our doing.
    sent: AtomicU64,
}

impl<'a> Session<'a> {
    pub fn new(journal: &'a Journal, client: &'a Client, options: StreamOptions, status: &'a Board) -> Self {
        let context = ContextBuilder::new()
            .timeout(ANSWER_MAX)
            .ack_timeout(ANSWER_MAX)
            // The bound is our own; this one must never be the narrower.
            .max_ack_inflight(4 * IN_FLIGHT_MAX)
            .build(client.clone());
        let connects = connects(client);
        Self { journal, client, options, status, context, connects, sent: AtomicU64::new(0) }
    }

    /// Publishes from where the stream stands until something interrupts it.
    pub async fn run(self) -> Interruption {
        let Err(interruption) = self.publish().await;
        interruption
    }

    async fn publish(&self) -> Result<Infallible, Interruption> {
        if self.client.connection_state() != State::Connected {
            return Err(Cause::Disconnected.into());
        }
        require_support(self.client).map_err(|error| halted(&error, START_ANEW))?;
        let stream = match ensure_stream(&self.context, self.options).await {
            Ok(stream) => stream,
            Err(error) if error.is_transient() => return Err(Cause::Stream(error).into()),
            Err(error) => return Err(halted(&error, START_ANEW)),
        };
        let last = match compare(&stream, self.journal).await {
            Ok(agreement) => agreement.last,
            Err(AgreementError::Diverged(divergence)) => return Err(halted(&divergence, remedy(&divergence))),
            Err(error) => return Err(Cause::Agreement(error).into()),
        };
        self.sent.store(last.0, Ordering::Release);
        self.confirmed(last);
        let (in_flight, acknowledgements) = mpsc::channel(IN_FLIGHT_MAX / ACKNOWLEDGED_AT_ONCE_MAX);
        let (never, _, _) =
            tokio::try_join!(self.feed(last, in_flight), self.confirm(acknowledgements), self.watch(&stream))?;
        match never {}
    }

    /// Publishes in position order, as fast as there is room in flight.
    async fn feed(&self, after: Position, in_flight: mpsc::Sender<InFlight>) -> Result<Infallible, Interruption> {
        let mut follower = self.journal.follow(after);
        loop {
            for events in follower.next(TAKE_EVENTS_MAX).await.map_err(Cause::from)?.chunks(ACKNOWLEDGED_AT_ONCE_MAX) {
                let Some((last, before)) = events.split_last() else { continue };
                let Ok(room) = in_flight.reserve().await else { return Err(Cause::Disconnected.into()) };
                self.sent.store(last.position.0, Ordering::Release);
                for event in before {
                    let Outgoing { subject, headers, payload } = to_message(event);
                    let sent = self.client.publish_with_headers(subject, headers, payload).await;
                    sent.map_err(|source| Cause::Send { position: event.position, source })?;
                }
                let position = last.position;
                let Outgoing { subject, headers, payload } = to_message(last);
                let acknowledgement = self.context.publish_with_headers(subject, headers, payload).await;
                let acknowledgement = acknowledgement.map_err(|source| Cause::Publish { position, source })?;
                room.send(InFlight { position, acknowledgement });
            }
        }
    }

    /// Takes acknowledgements in order; each must be of the sequence that is its position, and speaks for all before it.
    async fn confirm(&self, mut in_flight: mpsc::Receiver<InFlight>) -> Result<Infallible, Interruption> {
        while let Some(InFlight { position, acknowledgement }) = in_flight.recv().await {
            let answer = acknowledgement.await.map_err(|source| self.cause(position, source))?;
            if answer.sequence != position.0 {
                return Err(Cause::Elsewhere { position, sequence: answer.sequence }.into());
            }
            self.confirmed(position);
        }
        Err(Cause::Disconnected.into())
    }

    /// Sees what publishing would not show while there is nothing to publish: a stream that is gone, was cut, or was
    /// written to by somebody else, and a journal that was cut.
    async fn watch(&self, stream: &Stream) -> Result<Infallible, Interruption> {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            if self.client.connection_state() != State::Connected {
                return Err(Cause::Disconnected.into());
            }
            if connects(self.client) != self.connects {
                return Err(Cause::Reconnected.into());
            }
            let confirmed = self.status.position();
            let info = stream.get_info().await.map_err(|error| Cause::Agreement(error.into()))?;
            let (found, sent) = (info.state.last_sequence, self.sent.load(Ordering::Acquire));
            if found < confirmed.0 || found > sent {
                return Err(Cause::Moved { found, confirmed, sent }.into());
            }
            let head = last_position(self.journal.pool()).await.map_err(Cause::from)?;
            if head < confirmed {
                return Err(Cause::JournalCut { head, confirmed }.into());
            }
        }
    }

    fn confirmed(&self, position: Position) {
        let lag = self.journal.position().0.saturating_sub(position.0);
        let live = lag <= IN_FLIGHT_MAX as u64;
        self.status.set(if live { RelayState::Live } else { RelayState::CatchingUp }, position);
    }

    /// A timeout says only that nothing is known; the connection may say more.
    fn cause(&self, position: Position, source: PublishError) -> Cause {
        match source.kind() {
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe
                if self.client.connection_state() != State::Connected =>
            {
                Cause::Disconnected
            }
            _ => Cause::Publish { position, source },
        }
    }
}

/// A message on its way, with those before it.
struct InFlight {
    position: Position,
    acknowledgement: PublishAckFuture,
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

fn halted(reason: &impl ToString, remedy: &'static str) -> Interruption {
    Interruption::Halt(Halt { reason: reason.to_string(), remedy })
}

/// What is left to do after what the error says.
const START_ANEW: &str = "then start the relay anew";

/// What an operator should do about it.
const fn remedy(divergence: &Divergence) -> &'static str {
    match divergence {
        Divergence::Ahead { .. } => {
            "if Postgres was restored from a backup, run `boxoffice restore-check --export FILE` before anything else: it \
             tells and keeps what Postgres lost; after that, or if somebody else wrote to the stream, delete the stream \
             (`boxoffice mirror rebuild --give-up`) and start the relay anew: it refills the stream from Postgres"
        }
        Divergence::Mismatch { .. } => {
            "find out who else may publish to the relay's subjects, then delete the stream and start the relay anew: it \
             refills the stream from Postgres"
        }
        Divergence::LastGone { .. } => {
            "delete the stream and start the relay anew: it refills the stream from Postgres"
        }
    }
}
