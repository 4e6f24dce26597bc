//! How far the stream goes, for whoever only looks.

use async_nats::{
    Client,
    jetstream::{
        self, ErrorCode,
        context::{GetStreamError, GetStreamErrorKind},
    },
};
use journal::Position;
use thiserror::Error;

use crate::STREAM;

/// Why nobody can say how far the stream goes.
#[derive(Debug, Error)]
pub enum ExtentError {
    /// The relay has not made it yet, or somebody deleted it; a relay that runs makes it and fills it.
    #[error("there is no stream {STREAM}; the relay makes it and fills it when it runs")]
    NoStream,
    /// NATS did not answer, or not as it should.
    #[error("the stream cannot be asked: {0}")]
    Ask(#[from] GetStreamError),
}

/// The position of the stream's last message; 0 where it holds none. The rights of a reader are enough.
pub async fn mirrored_position(client: &Client) -> Result<Position, ExtentError> {
    match jetstream::new(client.clone()).get_stream(STREAM).await {
        Ok(stream) => Ok(Position(stream.cached_info().state.last_sequence)),
        Err(error) => Err(match error.kind() {
            GetStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                ExtentError::NoStream
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => ExtentError::Ask(error),
        }),
    }
}
