//! Whether the stream is a copy of the log as far as it goes. An expected sequence is no fence against a foreign writer,
//! so the stream's last message is compared with the row at its position before anything is built on it.

use async_nats::jetstream::{
    ErrorCode,
    stream::{InfoError, LastRawMessageError, LastRawMessageErrorKind, State, Stream},
};
use journal::{Journal, Position, ReadError, RecordedEvent, last_position, read_after};
use thiserror::Error;

use crate::envelope::{self, Received, to_message};

/// A stream that is a copy of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The first position that it still holds; one more than `last` where it holds none.
    pub first: Position,
    /// The last position that it holds; 0 where it holds none.
    pub last: Position,
}

/// How the stream contradicts the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Divergence {
    /// It goes on where the log has ended: Postgres was restored from a backup, or somebody else wrote to the stream.
    #[error("the stream is ahead of Postgres: its last message is {sequence} ({subject}), the journal ends at {head}")]
    Ahead {
        /// Its last sequence.
        sequence: u64,
        /// Of that message.
        subject: String,
        /// The journal's last position.
        head: Position,
    },
    /// Its last message is not the event at that position.
    #[error("message {sequence} ({subject}) is not the event at that position, which is {expected}: {differs}")]
    Mismatch {
        /// Its last sequence.
        sequence: u64,
        /// Of that message.
        subject: String,
        /// The subject it would have.
        expected: String,
        /// What differs.
        differs: &'static str,
    },
    /// Its last message was deleted or purged, so it cannot be compared.
    #[error("message {sequence}, the last of the stream, is gone from it")]
    LastGone {
        /// Its last sequence.
        sequence: u64,
    },
}

/// Why there is no agreement, or none is known.
#[derive(Debug, Error)]
pub enum AgreementError {
    /// The two contradict one another.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// The stream could not be asked.
    #[error("the stream cannot be asked: {0}")]
    Info(#[from] InfoError),
    /// Its last message could not be read.
    #[error("the stream's last message cannot be read: {0}")]
    Message(#[from] LastRawMessageError),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
}

/// Compares the stream's last message with the row at its position.
pub async fn compare(stream: &Stream, journal: &Journal) -> Result<Agreement, AgreementError> {
    let State { first_sequence, last_sequence: sequence, .. } = stream.get_info().await?.state;
    if sequence == 0 {
        return Ok(Agreement { first: Position(1), last: Position(0) });
    }
    // From the stream's leader: a copy elsewhere may be behind it.
    let message = match stream.get_raw_message(sequence).await {
        Ok(message) => message,
        Err(error) if is_gone(&error) => return Err(Divergence::LastGone { sequence }.into()),
        Err(error) => return Err(error.into()),
    };
    let subject = message.subject.to_string();
    let Some(row) = read_after(journal.pool(), Position(sequence - 1), 1).await?.into_iter().next() else {
        let head = last_position(journal.pool()).await?;
        return Err(Divergence::Ahead { sequence, subject, head }.into());
    };
    match difference(Received::from(&message), &row) {
        None => Ok(Agreement { first: Position(first_sequence), last: Position(sequence) }),
        Some(differs) => {
            let expected = to_message(&row).subject.to_string();
            Err(Divergence::Mismatch { sequence, subject, expected, differs }.into())
        }
    }
}

/// In what a message is not the one of that row.
pub(crate) fn difference(message: Received<'_>, row: &RecordedEvent) -> Option<&'static str> {
    let differs = |name, value: String| message.header(name).ok() != Some(value.as_str());
    if row.position.0 != message.sequence {
        Some("its position")
    } else if message.subject != envelope::subject(row.aggregate, &row.event_type) {
        Some("its subject")
    } else if differs(envelope::AGGREGATE_ID, row.aggregate_id.to_string()) {
        Some("its aggregate id")
    } else if differs(envelope::SEQUENCE, row.sequence.to_string()) {
        Some("its sequence")
    } else if message.payload != row.payload.as_bytes() {
        Some("its body")
    } else {
        None
    }
}

pub(crate) fn is_gone(error: &LastRawMessageError) -> bool {
    match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => true,
        LastRawMessageErrorKind::JetStream(refusal) => {
            let code = refusal.error_code();
            code == ErrorCode::NO_MESSAGE_FOUND || code == ErrorCode::SEQUENCE_NOT_FOUND
        }
        LastRawMessageErrorKind::InvalidSubject | LastRawMessageErrorKind::Other => false,
    }
}
