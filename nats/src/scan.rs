//! The stream from its first message to its last, for whoever compares it with the log.

use std::{collections::HashSet, time::Duration};

use async_nats::{
    Client, HeaderMap, HeaderName, HeaderValue,
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
    envelope::{EnvelopeError, headers_of, subject},
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
    /// The server ended it before its end.
    #[error("NATS ended the consumer before the end of the stream")]
    CutOff,
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
        Self::of(client, STREAM).await?.ok_or(ScanError::NoStream)
    }

    /// Likewise, of any of our streams; `None` where there is no such stream.
    pub(crate) async fn of(client: Client, stream: &str) -> Result<Option<Self>, ScanError> {
        timeout(ANSWER_MAX, Self::begin(client, stream)).await.unwrap_or(Err(ScanError::NoAnswer))
    }

    async fn begin(client: Client, stream: &str) -> Result<Option<Self>, ScanError> {
        let context = ContextBuilder::new().timeout(ANSWER_MAX).build(client);
        let stream = match context.get_stream(stream).await {
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
        let messages = if count == 0 {
            None
        } else {
            let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
            Some(stream.create_consumer(config).await?.messages().await?)
        };
        Ok(Some(Self { messages, first: Position(first), last: Position(last), count }))
    }

    /// The next message; `None` once all were handed out.
    pub async fn next(&mut self) -> Result<Option<Scanned>, ScanError> {
        let Some(messages) = &mut self.messages else { return Ok(None) };
        let next = timeout(ANSWER_MAX, messages.next()).await.map_err(|_| ScanError::NoAnswer)?;
        let message = next.ok_or(ScanError::CutOff)??;
        let info = message.info().map_err(|_| EnvelopeError::NotFromStream(message.subject.to_string()))?;
        // Later ones are none of ours: they were not there when this scan, and the log it is compared with, began.
        let (sequence, pending) = (info.stream_sequence, info.pending);
        let is_later = sequence > self.last.0;
        if is_later || sequence == self.last.0 || pending == 0 {
            self.messages = None;
        }
        Ok((!is_later).then_some(Scanned { sequence, message }))
    }
}

/// A message of the stream.
pub struct Scanned {
    /// Its sequence.
    pub sequence: u64,
    message: Message,
}

impl Scanned {
    /// Its body.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    /// In what it is not the message that the relay makes of `row`: what it is, what it should be, and what it is instead.
    pub fn difference(&self, row: &RecordedEvent) -> Option<(String, String, String)> {
        let Message { message, .. } = &self.message;
        let headers = message.headers.as_ref();
        let same = *message.subject == *subject(row.aggregate, &row.event_type)
            && *message.payload == *row.payload.as_bytes()
            && headers.is_some_and(|headers| has_just(headers, row));
        // Which of them it is, is looked for only where it is one.
        if same { None } else { difference(&message.subject, &message.payload, headers, row) }
    }
}

/// Whether these are the headers of that row's message, each once, and no others.
fn has_just(found: &HeaderMap, row: &RecordedEvent) -> bool {
    let mut wanted = 0;
    headers_of(row).all(|(name, value)| {
        wanted += 1;
        let mut all = found.get_all(name);
        all.next().is_some_and(|first| first.as_str() == value) && all.next().is_none()
    }) && found.len() == wanted
}

fn difference(
    found_subject: &str,
    payload: &[u8],
    headers: Option<&HeaderMap>,
    row: &RecordedEvent,
) -> Option<(String, String, String)> {
    let differs = |what: &str, expected: &[u8], found: &[u8]| {
        let shown = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (expected != found).then(|| (what.to_owned(), shown(expected), shown(found)))
    };
    differs("its subject", subject(row.aggregate, &row.event_type).as_bytes(), found_subject.as_bytes())
        .or_else(|| differs("its body", row.payload.as_bytes(), payload))
        .or_else(|| header_difference(headers.unwrap_or(&HeaderMap::new()), row))
}

fn header_difference(found: &HeaderMap, row: &RecordedEvent) -> Option<(String, String, String)> {
    let all = |name: &HeaderName| found.get_all(name.clone()).map(HeaderValue::as_str).collect::<Vec<_>>();
    let mut expected = HashSet::new();
    for (name, should) in headers_of(row) {
        let is = all(&name);
        // Twice is not once, also where both together read the same.
        if is != [&*should] {
            return Some((format!("its header {name}"), should.into_owned(), is.join(" | ")));
        }
        expected.insert(name);
    }
    // Others may add headers of their own on the way, but none that passes for one of ours.
    let extra = found.iter().map(|(name, _)| name).find(|name| is_ours(name.as_ref()) && !expected.contains(*name));
    extra.map(|name| (format!("its header {name}"), String::new(), all(name).join(" | ")))
}

/// Whether a follower could take it for a header of ours.
fn is_ours(name: &str) -> bool {
    let is = |ours: &str| name.get(..ours.len()).is_some_and(|start| start.eq_ignore_ascii_case(ours));
    is(OUR_HEADERS) || name.eq_ignore_ascii_case("traceparent")
}
