//! The log out of the stream alone: what is not there, or not as it should be, is an error.

use std::sync::Arc;

use async_nats::{
    Client,
    jetstream::{
        consumer::{
            DeliverPolicy,
            pull::{Ordered, OrderedConfig},
        },
        context::ContextBuilder,
    },
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use journal::{EventSource, Position, ReadError, RecordedEvent};
use tokio::time::timeout;

use super::mirror::{ANSWER_MAX, Doubt};
use crate::{
    STREAM,
    envelope::{Received, from_message},
};

/// Longest wait for an event that the stream should have.
const EVENT_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// Reads the stream from a position on, without looking at Postgres. Whoever reads past the stream's end is told so after
/// a while.
pub struct StreamSource {
    client: Client,
    at: Position,
    messages: Option<Ordered>,
}

impl StreamSource {
    /// Begins after `at`.
    pub const fn new(client: Client, at: Position) -> Self {
        Self { client, at, messages: None }
    }

    async fn next_events(&mut self, max: usize) -> Result<Vec<Arc<RecordedEvent>>, Doubt> {
        let mut messages = match self.messages.take() {
            Some(messages) => messages,
            None => self.open().await?,
        };
        let mut events = Vec::new();
        let first = timeout(EVENT_WAIT_MAX, messages.next()).await.map_err(|_| Doubt::NoAnswer)?;
        let mut message = Some(first);
        while let Some(delivered) = message.take() {
            let delivered = delivered.ok_or(Doubt::Ended)??;
            let received = Received::try_from(&delivered)?;
            let wanted = self.at.next();
            if received.sequence != wanted.0 {
                return Err(Doubt::Gap { found: received.sequence, wanted });
            }
            events.push(Arc::new(from_message(received)?));
            self.at = wanted;
            if events.len() < max {
                message = messages.next().now_or_never();
            }
        }
        self.messages = Some(messages);
        Ok(events)
    }

    async fn open(&mut self) -> Result<Ordered, Doubt> {
        let context = ContextBuilder::new().timeout(ANSWER_MAX).build(self.client.clone());
        let stream = context.get_stream(STREAM).await?;
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: self.at.next().0 };
        let consumer = stream.create_consumer(OrderedConfig { deliver_policy, ..OrderedConfig::default() }).await?;
        Ok(consumer.messages().await?)
    }
}

impl EventSource for StreamSource {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
        Box::pin(async move { self.next_events(max).await.map_err(|doubt| ReadError::Mirror(doubt.to_string())) })
    }

    fn seek(&mut self, position: Position) {
        self.messages = None;
        self.at = position;
    }

    fn position(&self) -> Position {
        self.at
    }
}
