//! The stream: what it must be, and whether it is.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::{CreateStreamError, GetStreamError, GetStreamErrorKind, UpdateStreamError},
    stream::{Compression, Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};
use serde_json::{Map, Value};
use thiserror::Error;

/// The stream's name.
pub const STREAM: &str = "BOXOFFICE";
/// The subjects it takes.
pub const SUBJECTS: &str = "boxoffice.events.>";
/// Bytes it may hold unless told otherwise, at a little under 1 KB an event. At the limit it takes no more (it never
/// drops what it has): the relay says so and tries on, and its followers read Postgres, until the limit is raised. The
/// server sets this much aside, so it must not be more than it has.
pub const MAX_BYTES_DEFAULT: u64 = 8 * 1024 * 1024 * 1024;

/// What differs between one deployment and another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Servers that hold a copy, 1 to 5.
    pub replicas: usize,
    /// Bytes it may hold.
    pub max_bytes: u64,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { replicas: 1, max_bytes: MAX_BYTES_DEFAULT }
    }
}

/// Why there is no stream to work with.
#[derive(Debug, Error)]
pub enum StreamError {
    /// It could not be looked at.
    #[error("the stream cannot be read: {0}")]
    Get(#[from] GetStreamError),
    /// It could not be created, or not changed.
    #[error("the stream cannot be created or changed: {0}")]
    Write(#[from] CreateStreamError),
    /// It exists, made by somebody else, and cannot be made ours by changing it.
    #[error("the stream exists and is not ours: {0} cannot be changed; delete or rename that stream")]
    Foreign(Differences),
    /// The server did not keep what it was told: it is too old and drops what it does not know.
    #[error("the server does not keep the stream as it was told: {0}; update nats-server")]
    NotKept(Differences),
    /// A configuration that is no JSON object cannot be compared.
    #[error("the configuration of the stream cannot be compared: {0}")]
    Compare(#[from] serde_json::Error),
}

impl StreamError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Get(_) | Self::Write(_) => true,
            Self::Foreign(_) | Self::NotKept(_) | Self::Compare(_) => false,
        }
    }
}

/// Fields in which a stream is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences(pub Vec<Difference>);

/// One such field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name in NATS' own API.
    pub field: String,
    /// What it must be, as JSON.
    pub wanted: String,
    /// What it is, as JSON.
    pub found: String,
}

impl std::fmt::Display for Differences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, Difference { field, wanted, found }) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{field} is {found}, not {wanted}")?;
        }
        Ok(())
    }
}

/// Fields that an existing stream may be told to change: none of them touches a message that it holds.
const ADJUSTABLE: [&str; 12] = [
    "max_bytes",
    "max_msgs",
    "max_msgs_per_subject",
    "max_msg_size",
    "max_age",
    "max_consumers",
    "num_replicas",
    "discard",
    "duplicate_window",
    "deny_delete",
    "deny_purge",
    "allow_direct",
];

/// Fields that are the operator's or the server's own affair.
const NOT_OURS: [&str; 4] = ["description", "metadata", "placement", "consumer_limits"];

/// The configuration that the mirror needs.
fn wanted(options: StreamOptions) -> Config {
    kept_for_ever(STREAM, SUBJECTS, options)
}

/// A stream that loses nothing. Limits that are off are written as the server writes them.
pub(crate) fn kept_for_ever(name: &str, subjects: &str, options: StreamOptions) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_bytes: i64::try_from(options.max_bytes).unwrap_or(i64::MAX),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        max_age: Duration::ZERO,
        num_replicas: options.replicas,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        compression: Some(Compression::None),
        // Of no use to us, because no message carries an id to be deduplicated by; the server wants one.
        duplicate_window: Duration::from_mins(2),
        ..Config::default()
    }
}

/// The stream as it must be: created if there is none, changed where that is harmless, and compared after either.
pub async fn ensure_stream(context: &Context, options: StreamOptions) -> Result<Stream, StreamError> {
    ensure(context, &wanted(options)).await
}

/// Likewise any stream of ours.
pub(crate) async fn ensure(context: &Context, wanted: &Config) -> Result<Stream, StreamError> {
    let (stream, existed) = match get(context, &wanted.name).await? {
        Some(stream) => (stream, true),
        None => (create(context, wanted).await?, false),
    };
    let found = differences(wanted, &stream.cached_info().config)?;
    if found.0.is_empty() {
        return Ok(stream);
    }
    if !existed {
        return Err(StreamError::NotKept(found));
    }
    let (adjustable, fixed): (Vec<_>, Vec<_>) =
        found.0.into_iter().partition(|difference| ADJUSTABLE.contains(&difference.field.as_str()));
    if !fixed.is_empty() {
        return Err(StreamError::Foreign(Differences(fixed)));
    }
    tracing::warn!(stream = wanted.name, changes = %Differences(adjustable), "changing the stream to what it must be");
    let changed: Result<_, UpdateStreamError> = context.update_stream(wanted).await;
    changed?;
    let stream = context.get_stream(&wanted.name).await?;
    let left = differences(wanted, &stream.cached_info().config)?;
    if left.0.is_empty() { Ok(stream) } else { Err(StreamError::NotKept(left)) }
}

async fn get(context: &Context, name: &str) -> Result<Option<Stream>, StreamError> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => Err(error.into()),
        },
    }
}

/// Creates the stream and reads it back: the answer to a creation is not what a restart would find.
async fn create(context: &Context, wanted: &Config) -> Result<Stream, StreamError> {
    context.create_stream(wanted).await?;
    tracing::info!(stream = wanted.name, "the stream is created");
    Ok(context.get_stream(&wanted.name).await?)
}

/// Compares field by field, under the names of NATS' own API.
fn differences(wanted: &Config, found: &Config) -> Result<Differences, StreamError> {
    let (wanted, found): (Map<String, Value>, Map<String, Value>) =
        (serde_json::from_value(serde_json::to_value(wanted)?)?, serde_json::from_value(serde_json::to_value(found)?)?);
    let fields: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or_else(|| "unset".to_owned(), Value::to_string);
    let differing = fields.into_iter().filter(|field| !NOT_OURS.contains(&field.as_str())).filter_map(|field| {
        let (wanted, found) = (wanted.get(field), found.get(field));
        (wanted != found).then(|| Difference { field: field.clone(), wanted: shown(wanted), found: shown(found) })
    });
    Ok(Differences(differing.collect()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_differs_is_named() {
        let ours = wanted(StreamOptions::default());
        let other = Config { deny_purge: false, max_age: Duration::from_mins(1), ..ours.clone() };
        let found = differences(&ours, &other).unwrap();
        let named: Vec<_> = found.0.iter().map(|difference| difference.field.as_str()).collect();
        assert_eq!(named, ["deny_purge", "max_age"]);
        assert!(found.to_string().contains("deny_purge is unset, not true"), "{found}");
        assert!(differences(&ours, &ours).unwrap().0.is_empty());
    }
}
