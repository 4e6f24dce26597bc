//! The stream from its first message to its last, for whoever compares it with the log.

use std::time::Duration;

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        ErrorCode, Message,
        consumer::{
            DeliverPolicy, StreamError as OrderedStartError,
            pull::{Ordered, OrderedConfig, OrderedError},
        },
        context::{ContextBuilder, GetStreamError, GetStreamErrorKind},
        stream::ConsumerError,
    },
};
use futures::StreamExt as _;
use journal::{Position, RecordedEvent};
use thiserror::Error;
use tokio::time::timeout;

use crate::{
    STREAM,
    envelope::{EnvelopeError, METADATA, Received, to_message},
};

/// Longest wait for one answer of the server.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What every header of ours begins with.
const OUR_HEADERS: &str = "Boxoffice-";

/// Why the stream cannot be read.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The relay has not made it yet, or somebody deleted it.
    #[error("there is no stream {STREAM}; the relay makes it and fills it when it runs")]
    NoStream,
    /// NATS did not answer, or not as it should.
    #[error("the stream cannot be asked: {0}")]
    Ask(#[from] GetStreamError),
    /// No consumer could be made.
    #[error("the consumer cannot be created: {0}")]
    Consumer(#[from] ConsumerError),
    /// The consumer did not begin.
    #[error("the consumer cannot be started: {0}")]
    Start(#[from] OrderedStartError),
    /// The consumer failed on its way.
    #[error("the consumer has failed: {0}")]
    Ordered(#[from] OrderedError),
    /// Nothing came for too long.
    #[error("NATS does not answer within {ANSWER_MAX:?}")]
    NoAnswer,
    /// What came is no message of a stream.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// The messages there were when it was opened, in order; the rights of a reader are enough.
pub struct StreamScan {
    messages: Option<Ordered>,
    /// Sequence of its first message; one more than `last` where it holds none.
    pub first: Position,
    /// Its last sequence, whether or not that message is still there.
    pub last: Position,
    /// How many messages it holds.
    pub count: u64,
}

impl StreamScan {
    /// Begins at the first message.
    pub async fn open(client: Client) -> Result<Self, ScanError> {
        timeout(ANSWER_MAX, Self::begin(client)).await.unwrap_or(Err(ScanError::NoAnswer))
    }

    async fn begin(client: Client) -> Result<Self, ScanError> {
        let context = ContextBuilder::new().timeout(ANSWER_MAX).build(client);
        let stream = context.get_stream(STREAM).await.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                ScanError::NoStream
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => ScanError::Ask(error),
        })?;
        let state = &stream.cached_info().state;
        let (first, last, count) = (state.first_sequence, state.last_sequence, state.messages);
        let messages = if count == 0 {
            None
        } else {
            let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
            Some(stream.create_consumer(config).await?.messages().await?)
        };
        Ok(Self { messages, first: Position(first), last: Position(last), count })
    }

    /// The next message; `None` once all were handed out.
    pub async fn next(&mut self) -> Result<Option<Message>, ScanError> {
        let Some(messages) = &mut self.messages else { return Ok(None) };
        let next = timeout(ANSWER_MAX, messages.next()).await.map_err(|_| ScanError::NoAnswer)?;
        let Some(message) = next.transpose()? else { return Ok(None) };
        let info = message.info().map_err(|_| EnvelopeError::NotFromStream(message.subject.to_string()))?;
        // Later ones are none of ours: they were not there when this scan, and the log it is compared with, began.
        let is_later = info.stream_sequence > self.last.0;
        if is_later || info.stream_sequence == self.last.0 || info.pending == 0 {
            self.messages = None;
        }
        Ok((!is_later).then_some(message))
    }
}

/// In what `message` is not the one that the relay makes of `row`: what it is, what it should be, and what it is instead.
pub fn difference(message: Received<'_>, row: &RecordedEvent) -> Option<(String, String, String)> {
    let expected = to_message(row);
    let differs = |what: &str, expected: &str, found: &str| {
        (expected != found).then(|| (what.to_owned(), expected.to_owned(), found.to_owned()))
    };
    let body = String::from_utf8_lossy(message.payload);
    differs("its subject", &expected.subject, message.subject)
        .or_else(|| differs("its body", &row.payload, &body))
        .or_else(|| header_difference(message.headers, &expected.headers))
}

fn header_difference(found: Option<&HeaderMap>, expected: &HeaderMap) -> Option<(String, String, String)> {
    let none = HeaderMap::new();
    let found = found.unwrap_or(&none);
    let all = |headers: &HeaderMap, name: &async_nats::HeaderName| {
        headers.get_all(name.clone()).map(|value| value.as_str().to_owned()).collect::<Vec<_>>().join(", ")
    };
    // What holds the others comes first.
    let mut names: Vec<_> = expected.iter().map(|(name, _)| name).collect();
    names.sort_by_key(|name| (**name != METADATA, name.to_string()));
    for name in names {
        let (should, is) = (all(expected, name), all(found, name));
        if should != is {
            return Some((format!("its header {name}"), should, is));
        }
    }
    let extra = found
        .iter()
        .map(|(name, _)| name)
        .find(|name| AsRef::<str>::as_ref(*name).starts_with(OUR_HEADERS) && expected.get((*name).clone()).is_none());
    extra.map(|name| (format!("its header {name}"), String::new(), all(found, name)))
}
