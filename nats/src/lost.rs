//! What the stream has that Postgres lost, as after a backup was restored.

use async_nats::{
    Client,
    jetstream::{self, context::GetStreamError, stream::Stream},
};
use journal::{EventSource, Position, ReadError, RecordedEvent, last_position, read_after};
use sqlx::PgPool;
use thiserror::Error;

use crate::{
    STREAM, StreamSource,
    agreement::{difference, is_gone},
    envelope::Received,
};

/// Events read from the stream at once.
const READ_EVENTS_MAX: usize = 1_024;

/// Why it cannot be told.
#[derive(Debug, Error)]
pub enum LostError {
    /// There is no stream, or it does not answer.
    #[error("the stream {STREAM} cannot be asked: {0}")]
    Stream(#[from] GetStreamError),
    /// It does not say how far it goes.
    #[error("the stream {STREAM} cannot be asked: {0}")]
    Info(#[from] async_nats::jetstream::stream::InfoError),
    /// A message could not be had.
    #[error("message {sequence} of the stream cannot be read: {source}")]
    Message {
        /// Which.
        sequence: u64,
        /// Why not.
        source: async_nats::jetstream::stream::LastRawMessageError,
    },
    /// Postgres or the stream could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Where the two logs part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    /// The last position in Postgres.
    pub journal: Position,
    /// The last message of the stream.
    pub mirror: Position,
    /// Up to here both are the same; where nothing is lost, as far as the shorter one goes.
    pub agreed: Position,
}

impl Parting {
    /// Events that only the stream has, or has otherwise.
    pub const fn lost(&self) -> u64 {
        self.mirror.0.saturating_sub(self.agreed.0)
    }

    /// Events that Postgres has appended since in the place of others: the stream can never have them.
    pub const fn appended_since(&self) -> u64 {
        if self.lost() == 0 { 0 } else { self.journal.0.saturating_sub(self.agreed.0) }
    }
}

/// Compares the stream with Postgres: at the end of the shorter one, and where they differ there, by halves back to where
/// they part. Each only ever grew at its end, so all before an equal message is equal.
pub async fn parting(client: &Client, pool: &PgPool) -> Result<Parting, LostError> {
    let stream = jetstream::new(client.clone()).get_stream(STREAM).await?;
    let state = stream.get_info().await?.state;
    let (journal, mirror) = (last_position(pool).await?, Position(state.last_sequence));
    let shorter = journal.min(mirror);
    // Whatever the stream does not go back to cannot be compared.
    let first = Position(state.first_sequence.saturating_sub(1));
    let mut agreed = shorter;
    if shorter > first && !same(&stream, pool, shorter).await? {
        let (mut low, mut high) = (first, shorter);
        while high.0 - low.0 > 1 {
            let middle = Position(low.0 + (high.0 - low.0) / 2);
            if same(&stream, pool, middle).await? { low = middle } else { high = middle }
        }
        agreed = low;
    }
    Ok(Parting { journal, mirror, agreed })
}

async fn same(stream: &Stream, pool: &PgPool, position: Position) -> Result<bool, LostError> {
    let message = match stream.get_raw_message(position.0).await {
        Ok(message) => message,
        Err(error) if is_gone(&error) => return Ok(false),
        Err(source) => return Err(LostError::Message { sequence: position.0, source }),
    };
    let row = read_after(pool, Position(position.0 - 1), 1).await?.pop();
    Ok(row.is_some_and(|row| row.position == position && difference(Received::from(&message), &row).is_none()))
}

/// Hands what is lost to `each`, in order.
pub async fn read_lost(
    client: &Client,
    parting: Parting,
    mut each: impl FnMut(&RecordedEvent) -> Result<(), std::io::Error>,
) -> Result<(), LostError> {
    let mut source = StreamSource::new(client.clone(), parting.agreed);
    while source.position() < parting.mirror {
        let left = usize::try_from(parting.mirror.0 - source.position().0).unwrap_or(usize::MAX);
        for event in source.next(left.min(READ_EVENTS_MAX)).await? {
            each(&event).map_err(|error| ReadError::Mirror(error.to_string()))?;
        }
    }
    Ok(())
}
