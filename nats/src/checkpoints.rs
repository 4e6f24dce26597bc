//! Signed checkpoints of the log, each a message of a stream of their own: number N is message N.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
        stream::{Config, DiscardPolicy},
    },
};
use thiserror::Error;
use tokio::time::timeout;

use crate::{StreamError, StreamOptions, stream};

/// The stream's name.
pub const CHECKPOINTS_STREAM: &str = "BOXOFFICE_CHECKPOINTS";
/// The one subject it takes.
pub const CHECKPOINTS_SUBJECT: &str = "boxoffice.checkpoints";
/// Bytes it may hold, at a little over 400 a checkpoint: more than half a million. At the limit the oldest go: each newer one
/// says all that an older one said, and whoever wants to hold us to an old one has kept it elsewhere.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How long an acknowledgement may take.
const ACKNOWLEDGEMENT_WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a checkpoint was not published, or nobody can say.
#[derive(Debug, Error)]
pub enum CheckpointsError {
    /// There is no such stream to work with.
    #[error("{CHECKPOINTS_STREAM}: {0}")]
    Stream(#[from] StreamError),
    /// Its last message could not be read.
    #[error("the last message of {CHECKPOINTS_STREAM} cannot be read: {0}")]
    Read(String),
    /// It was not taken: it was not the next, or the server did not answer.
    #[error("checkpoint {number} was not taken: {source}")]
    Publish {
        /// Its number.
        number: u64,
        /// Why not.
        source: PublishError,
    },
}

/// The stream of checkpoints, with the rights of the relay.
#[derive(Clone)]
pub struct Checkpoints(Context);

impl Checkpoints {
    /// The stream that `client` reaches; made when it is first asked.
    pub fn new(client: Client) -> Self {
        Self(jetstream::new(client))
    }

    /// The number and the text of the last that is there. Makes the stream if there is none.
    pub async fn last(&self) -> Result<Option<(u64, String)>, CheckpointsError> {
        let options = StreamOptions { max_bytes: MAX_BYTES, ..StreamOptions::default() };
        let config = Config {
            discard: DiscardPolicy::Old,
            ..stream::kept_for_ever(CHECKPOINTS_STREAM, CHECKPOINTS_SUBJECT, options)
        };
        let stream = stream::ensure(&self.0, &config).await?;
        let number = stream.cached_info().state.last_sequence;
        if number == 0 {
            return Ok(None);
        }
        let message =
            stream.get_raw_message(number).await.map_err(|error| CheckpointsError::Read(error.to_string()))?;
        Ok(Some((number, String::from_utf8_lossy(&message.payload).into_owned())))
    }

    /// Publishes number `number` where the stream ends just before it.
    pub async fn publish(&self, number: u64, note: &str) -> Result<(), CheckpointsError> {
        let message = PublishMessage::build().payload(note.to_owned().into()).expected_last_sequence(number - 1);
        let sending = async { self.0.send_publish(CHECKPOINTS_SUBJECT, message).await?.await };
        let sent = timeout(ACKNOWLEDGEMENT_WAIT_MAX, sending).await;
        let sent = sent.unwrap_or_else(|_| Err(PublishErrorKind::TimedOut.into()));
        sent.map(drop).map_err(|source| CheckpointsError::Publish { number, source })
    }
}
