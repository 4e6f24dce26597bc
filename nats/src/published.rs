//! The published checkpoints from the first to the last, for whoever compares them with what the database says.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        ErrorCode, Message,
        consumer::{
            DeliverPolicy,
            pull::{Ordered, OrderedConfig},
        },
        context::{ContextBuilder, GetStreamErrorKind},
    },
};
use futures::StreamExt as _;
use tokio::time::timeout;

use crate::{CHECKPOINTS_STREAM, ScanError, envelope::EnvelopeError};

/// Longest wait for one answer of the server.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The checkpoints that were published when it was opened, in order; the rights of a reader are enough.
pub struct CheckpointScan {
    messages: Option<Ordered>,
    /// Number of the first that the stream still holds; one more than `last` where it holds none.
    pub first: u64,
    /// Number of the last that was published, whether or not it is still there; 0 where none was.
    pub last: u64,
}

impl CheckpointScan {
    /// Begins at the first; `None` where there is no such stream.
    pub async fn open(client: Client) -> Result<Option<Self>, ScanError> {
        timeout(ANSWER_MAX, Self::begin(client)).await.unwrap_or(Err(ScanError::NoAnswer))
    }

    async fn begin(client: Client) -> Result<Option<Self>, ScanError> {
        let context = ContextBuilder::new().timeout(ANSWER_MAX).build(client);
        let stream = match context.get_stream(CHECKPOINTS_STREAM).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    return Ok(None);
                }
                GetStreamErrorKind::JetStream(_)
                | GetStreamErrorKind::EmptyName
                | GetStreamErrorKind::Request
                | GetStreamErrorKind::InvalidStreamName => return Err(error.into()),
            },
        };
        let state = &stream.cached_info().state;
        let (first, last, count) = (state.first_sequence, state.last_sequence, state.messages);
        if count == 0 {
            return Ok(Some(Self { messages: None, first: last + 1, last }));
        }
        let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
        let messages = stream.create_consumer(config).await?.messages().await?;
        Ok(Some(Self { messages: Some(messages), first, last }))
    }

    /// The next one's number and text; `None` once all were handed out.
    pub async fn next(&mut self) -> Result<Option<(u64, String)>, ScanError> {
        let Some(messages) = &mut self.messages else { return Ok(None) };
        let next = timeout(ANSWER_MAX, messages.next()).await.map_err(|_| ScanError::NoAnswer)?;
        let message = next.ok_or(ScanError::CutOff)??;
        let (number, pending) = place(&message)?;
        // Later ones were not there when this began, and the database may have been read by then.
        if number >= self.last || pending == 0 {
            self.messages = None;
        }
        let text = || String::from_utf8_lossy(&message.payload).into_owned();
        Ok((number <= self.last).then(|| (number, text())))
    }
}

/// Its number, and how many are behind it.
fn place(message: &Message) -> Result<(u64, u64), EnvelopeError> {
    let info = message.info().map_err(|_| EnvelopeError::NotFromStream(message.subject.to_string()))?;
    Ok((info.stream_sequence, info.pending))
}
