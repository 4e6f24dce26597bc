//! An ordered consumer of the stream that trusts nothing it has not compared.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        consumer::{
            DeliverPolicy, StreamError as OrderedStartError,
            pull::{Ordered, OrderedConfig, OrderedError},
        },
        context::{ContextBuilder, GetStreamError},
        stream::ConsumerError,
    },
};
use futures::{FutureExt, StreamExt};
use journal::{Journal, Metadata, Position, RecordedEvent};
use thiserror::Error;
use tokio::time::timeout;

use crate::{
    Agreement, AgreementError, EnvelopeError, STREAM,
    agreement::compare,
    envelope::{Received, from_message},
};

/// Longest wait for one answer of the server.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Longest wait for the mirror to be opened.
const OPEN_MAX: Duration = Duration::from_secs(4);

/// Why the mirror cannot serve.
#[derive(Debug, Error)]
pub(super) enum Doubt {
    #[error("NATS cannot be reached")]
    Unreachable,
    #[error("NATS does not answer")]
    NoAnswer,
    #[error("there is no stream: {0}")]
    Stream(#[from] GetStreamError),
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    #[error("the consumer cannot be created: {0}")]
    Consumer(#[from] ConsumerError),
    #[error("the consumer cannot be started: {0}")]
    Start(#[from] OrderedStartError),
    #[error("the consumer has failed: {0}")]
    Ordered(#[from] OrderedError),
    #[error("the consumer has ended")]
    Ended,
    #[error("the stream ends at {last}, before {wanted}")]
    Behind { last: Position, wanted: Position },
    #[error("the stream begins at {first}, after {wanted}")]
    Truncated { first: Position, wanted: Position },
    #[error("the stream goes on with {found}, not with {wanted}")]
    Gap { found: u64, wanted: Position },
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("it keeps back what Postgres has")]
    Overdue,
    #[error("it has position {0}, which Postgres does not have")]
    NotInPostgres(Position),
}

/// An open consumer, and the position that it must deliver next.
pub(super) struct Mirror {
    messages: Ordered,
    next: Position,
}

impl Mirror {
    /// Begins after `at`, if the stream agrees with the log and holds what comes next.
    pub async fn open(journal: Journal, client: Client, at: Position) -> Result<Self, Doubt> {
        if client.connection_state() != State::Connected {
            return Err(Doubt::Unreachable);
        }
        timeout(OPEN_MAX, Self::open_unbounded(&journal, client, at)).await.unwrap_or(Err(Doubt::NoAnswer))
    }

    async fn open_unbounded(journal: &Journal, client: Client, at: Position) -> Result<Self, Doubt> {
        let context = ContextBuilder::new().timeout(ANSWER_MAX).build(client);
        let stream = context.get_stream(STREAM).await?;
        let Agreement { first, last } = compare(&stream, journal).await?;
        let wanted = at.next();
        if last < at {
            return Err(Doubt::Behind { last, wanted: at });
        }
        if first > wanted {
            return Err(Doubt::Truncated { first, wanted });
        }
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: wanted.0 };
        let consumer = stream.create_consumer(OrderedConfig { deliver_policy, ..OrderedConfig::default() }).await?;
        Ok(Self { messages: consumer.messages().await?, next: wanted })
    }

    /// The events after `at`, at least one and at most `max`. Cancelling loses nothing.
    pub async fn next(&mut self, at: Position, max: usize) -> Result<Vec<Arc<RecordedEvent>>, Doubt> {
        let mut events = Vec::new();
        while events.is_empty() {
            let first = self.messages.next().await;
            let mut message = Some(first);
            // No await from here on: what was taken from the consumer is returned.
            while let Some(delivered) = message.take() {
                let event = self.admit(delivered.ok_or(Doubt::Ended)??)?;
                // Postgres may have handed it out while the mirror was being opened.
                if event.position > at {
                    events.push(Arc::new(event));
                }
                if events.len() < max {
                    message = self.messages.next().now_or_never();
                }
            }
        }
        Ok(events)
    }

    /// Insists on continuity: the message must be the next of the stream, and hold the event of that position.
    fn admit(&mut self, message: async_nats::jetstream::Message) -> Result<RecordedEvent, Doubt> {
        let received = Received::try_from(&message)?;
        if received.sequence != self.next.0 {
            return Err(Doubt::Gap { found: received.sequence, wanted: self.next });
        }
        let event = from_message(received)?;
        self.next = self.next.next();
        trace(&event);
        Ok(event)
    }
}

/// The trace of the request goes on here, where it is asked for.
fn trace(event: &RecordedEvent) {
    if tracing::enabled!(tracing::Level::DEBUG)
        && let Ok(metadata) = serde_json::from_str::<Metadata>(&event.metadata)
    {
        let traceparent = metadata.traceparent.as_deref().unwrap_or_default();
        let span = tracing::debug_span!("received", traceparent, correlation = %metadata.correlation);
        span.in_scope(|| tracing::debug!(position = %event.position, event = %event.event_type, "from the mirror"));
    }
}
