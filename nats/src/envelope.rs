//! A recorded event as a message, and back.

use std::{borrow::Cow, fmt::Display};

use aggregates::{AggregateType, DecodeError};
use async_nats::{
    HeaderMap, HeaderName, HeaderValue, Subject,
    header::NATS_EXPECTED_LAST_SEQUENCE,
    jetstream::{self, message::StreamMessage},
};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use journal::{Position, RecordedEvent, Sequence};
use serde::Deserialize;
use thiserror::Error;
use uuid::Uuid;

/// What the subject of every event begins with; `<aggregate>.<EventType>` follows.
const PREFIX: &str = "boxoffice.events.";

/// The headers, beside `Nats-Expected-Last-Sequence`.
pub(crate) const AGGREGATE_ID: HeaderName = HeaderName::from_static("Boxoffice-Aggregate-Id");
pub(crate) const SEQUENCE: HeaderName = HeaderName::from_static("Boxoffice-Sequence");
const RECORDED_AT: HeaderName = HeaderName::from_static("Boxoffice-Recorded-At");
pub(crate) const METADATA: HeaderName = HeaderName::from_static("Boxoffice-Metadata");
const EVENT_VERSION: HeaderName = HeaderName::from_static("Boxoffice-Event-Version");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A message that is no event of ours: somebody else wrote it, or a newer version did.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// It was not delivered by JetStream, so it has no sequence.
    #[error("the message on {0} was not delivered from a stream")]
    NotFromStream(String),
    /// Its subject is not `boxoffice.events.<aggregate>.<EventType>`.
    #[error("{0:?} is not a subject of an event")]
    Subject(String),
    /// The aggregate in its subject is none of the four.
    #[error(transparent)]
    Aggregate(#[from] DecodeError),
    /// A header that every event has is missing.
    #[error("message {sequence} has no header {name}")]
    HeaderMissing {
        /// Stream sequence.
        sequence: u64,
        /// Which header.
        name: String,
    },
    /// A header is not written as it should be.
    #[error("header {name} of message {sequence} cannot be {value:?}")]
    Header {
        /// Stream sequence.
        sequence: u64,
        /// Which header.
        name: String,
        /// What it holds.
        value: String,
    },
    /// It stands where its event does not belong: stream sequence and position must be the same number.
    #[error("message {sequence} holds the event of position {position}")]
    Misplaced {
        /// Stream sequence.
        sequence: u64,
        /// Position of the event, by its header.
        position: Position,
    },
    /// Its body is no text.
    #[error("the body of message {0} is not UTF-8")]
    Body(u64),
}

/// A message that is to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// `boxoffice.events.<aggregate>.<EventType>`.
    pub subject: Subject,
    /// The event's coordinates.
    pub headers: HeaderMap,
    /// The payload's text, byte for byte.
    pub payload: Bytes,
}

/// What an event's message is, however it came: from a consumer, or got directly from the stream.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its subject.
    pub subject: &'a str,
    /// Its headers, if it has any.
    pub headers: Option<&'a HeaderMap>,
    /// Its body.
    pub payload: &'a [u8],
    /// Its sequence in the stream.
    pub sequence: u64,
}

impl<'a> From<&'a StreamMessage> for Received<'a> {
    fn from(message: &'a StreamMessage) -> Self {
        let StreamMessage { subject, sequence, headers, payload, time: _ } = message;
        Self { subject, headers: Some(headers), payload, sequence: *sequence }
    }
}

impl<'a> TryFrom<&'a jetstream::Message> for Received<'a> {
    type Error = EnvelopeError;

    fn try_from(message: &'a jetstream::Message) -> Result<Self, EnvelopeError> {
        let not_from_stream = |_| EnvelopeError::NotFromStream(message.subject.to_string());
        let sequence = message.info().map_err(not_from_stream)?.stream_sequence;
        Ok(Self { subject: &message.subject, headers: message.headers.as_ref(), payload: &message.payload, sequence })
    }
}

/// The subject of an event: kind and name, never the aggregate's id, because the server keeps every distinct subject in
/// memory.
pub fn subject(aggregate: AggregateType, event_type: &str) -> String {
    format!("{PREFIX}{aggregate}.{event_type}")
}

/// The event as the message of sequence `position`: the server refuses it anywhere else.
pub fn to_message(event: &RecordedEvent) -> Outgoing {
    let mut headers = HeaderMap::new();
    for (name, value) in headers_of(event) {
        headers.insert(name, HeaderValue::from(value.into_owned()));
    }
    Outgoing {
        subject: subject(event.aggregate, &event.event_type).into(),
        headers,
        payload: Bytes::copy_from_slice(event.payload.as_bytes()),
    }
}

/// The headers of an event's message. What of the metadata others look for without reading it has one of its own; the
/// position has none, being the number of the message and one more than what the server is told to expect.
pub(crate) fn headers_of(event: &RecordedEvent) -> impl Iterator<Item = (HeaderName, Cow<'_, str>)> {
    // Metadata that is not ours has no trace, and travels all the same.
    let Trace { traceparent } = serde_json::from_str(&event.metadata).unwrap_or_default();
    let always = [
        // What holds the others comes first, where differences are told.
        (METADATA, one_line(Cow::Borrowed(&event.metadata))),
        (AGGREGATE_ID, event.aggregate_id.to_string().into()),
        (SEQUENCE, event.sequence.to_string().into()),
        (RECORDED_AT, event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true).into()),
        (EVENT_VERSION, one_line(Cow::Borrowed(&event.event_version))),
        (NATS_EXPECTED_LAST_SEQUENCE, event.position.0.saturating_sub(1).to_string().into()),
    ];
    always.into_iter().chain(traceparent.map(|value| (TRACEPARENT, one_line(value))))
}

/// The event that a message holds, equal to the one that [`to_message`] was given.
pub fn from_message(message: Received<'_>) -> Result<RecordedEvent, EnvelopeError> {
    let wrong_subject = || EnvelopeError::Subject(message.subject.to_owned());
    let named = message.subject.strip_prefix(PREFIX).ok_or_else(wrong_subject)?;
    let (aggregate, event_type) = named.split_once('.').ok_or_else(wrong_subject)?;
    let position = Position(message.parsed::<u64>(NATS_EXPECTED_LAST_SEQUENCE)?.saturating_add(1));
    if position.0 != message.sequence {
        return Err(EnvelopeError::Misplaced { sequence: message.sequence, position });
    }
    Ok(RecordedEvent {
        position,
        recorded_at: message.parsed::<DateTime<Utc>>(RECORDED_AT)?,
        aggregate: aggregate.parse()?,
        aggregate_id: message.parsed::<Uuid>(AGGREGATE_ID)?,
        sequence: Sequence(message.parsed(SEQUENCE)?),
        event_type: event_type.into(),
        event_version: message.header(EVENT_VERSION)?.into(),
        payload: std::str::from_utf8(message.payload).map_err(|_| EnvelopeError::Body(message.sequence))?.into(),
        metadata: message.header(METADATA)?.into(),
    })
}

impl<'a> Received<'a> {
    pub(crate) fn header(&self, name: HeaderName) -> Result<&'a str, EnvelopeError> {
        let missing = || EnvelopeError::HeaderMissing { sequence: self.sequence, name: name.to_string() };
        Ok(self.headers.and_then(|headers| headers.get(name.clone())).ok_or_else(missing)?.as_str())
    }

    fn parsed<T: std::str::FromStr<Err: Display>>(&self, name: HeaderName) -> Result<T, EnvelopeError> {
        let value = self.header(name.clone())?;
        let wrong = |_| EnvelopeError::Header {
            sequence: self.sequence,
            name: name.to_string(),
            value: value.chars().take(HEADER_SHOWN_CHARS_MAX).collect(),
        };
        value.parse().map_err(wrong)
    }
}

/// Characters of a wrong header that an error shows, at most.
const HEADER_SHOWN_CHARS_MAX: usize = 64;

/// What of the metadata has a header of its own.
#[derive(Default, Deserialize)]
struct Trace<'a> {
    #[serde(borrow)]
    traceparent: Option<Cow<'a, str>>,
}

/// A header is one line. The journal's own metadata is; in JSON written by others a line break can only stand between
/// tokens, where a space means the same.
fn one_line(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ").into() } else { text }
}
