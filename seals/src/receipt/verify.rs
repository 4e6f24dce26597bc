//! Checking a receipt, without us: nothing is needed but the document and the log's public key.

use aggregates::{AggregateType, BookingId, PaymentId};
use journal::Metadata;
use thiserror::Error;

use super::document::{Receipt, ReceiptEvent, VERSION};
use crate::{Checkpoint, Hash, LeafHasher, NoteError, ProofError, VerifierKey, verify_inclusion};

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Who says how long the log was.
    pub checkpoint: Checkpoint,
    /// How many events are proved to be in it.
    pub events: usize,
}

/// Why a receipt proves nothing.
#[derive(Debug, Error)]
pub enum ReceiptFault {
    /// It is none.
    #[error("this is no receipt: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is of a version that is not known here.
    #[error("this is a receipt of version {0}, and only {VERSION} is known here")]
    Version(u32),
    /// Its checkpoint is not to be relied on.
    #[error("its checkpoint is not to be relied on: {0}")]
    Checkpoint(#[from] NoteError),
    /// It proves no event at all, or not all that it should.
    #[error("events are left out: {0}")]
    Incomplete(String),
    /// An event does not belong in it.
    #[error("the event at position {position} is not of this booking: {why}")]
    Foreign {
        /// Its position.
        position: u64,
        /// Why not.
        why: &'static str,
    },
    /// An event was changed.
    #[error("the event at position {position} was changed: it hashes to {found}, not to {stated}")]
    Changed {
        /// Its position.
        position: u64,
        /// What the receipt says its hash is.
        stated: Hash,
        /// What it is.
        found: Hash,
    },
    /// Its time is no time.
    #[error("the event at position {position} was changed: {recorded_at:?} is no time to the microsecond")]
    Time {
        /// Its position.
        position: u64,
        /// What stands there.
        recorded_at: String,
    },
    /// A proof does not lead to the checkpoint.
    #[error("the proof of the event at position {position} is wrong, or event and hash were changed: {fault}")]
    Proof {
        /// Its position.
        position: u64,
        /// What is wrong.
        fault: ProofError,
    },
}

/// Checks a receipt by the keys that are trusted to sign for its log.
pub fn verify(receipt: &Receipt, keys: &[VerifierKey]) -> Result<Proved, ReceiptFault> {
    if receipt.version != VERSION {
        return Err(ReceiptFault::Version(receipt.version));
    }
    let checkpoint = Checkpoint::verify(&receipt.checkpoint, keys)?;
    belongs_together(receipt)?;
    let mut hasher = LeafHasher::default();
    for event in &receipt.events {
        let position = event.position;
        let time = || ReceiptFault::Time { position, recorded_at: event.recorded_at.clone() };
        let row = event.row().filter(|_| is_plain_time(event)).ok_or_else(time)?;
        let found = hasher.hash(&row);
        if found != event.leaf_hash {
            return Err(ReceiptFault::Changed { position, stated: event.leaf_hash, found });
        }
        let leaf = position.saturating_sub(1);
        verify_inclusion(leaf, checkpoint.size, &found, &event.inclusion_proof, &checkpoint.root)
            .map_err(|fault| ReceiptFault::Proof { position, fault })?;
    }
    Ok(Proved { checkpoint, events: receipt.events.len() })
}

/// Only the one way in which we write a time, so that nothing can be added that the hash does not know.
fn is_plain_time(event: &ReceiptEvent) -> bool {
    let plain = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    event.time().is_some_and(|time| plain(time) == event.recorded_at)
}

/// The events are of this booking, its payment and its concert; those of the first two from the first on without a gap.
fn belongs_together(receipt: &Receipt) -> Result<(), ReceiptFault> {
    let (mut booking, mut payment, mut last) = (0, 0, 0);
    let causes: Vec<u64> = receipt.events.iter().filter_map(cause).collect();
    if PaymentId::of(BookingId(receipt.booking_id)).0 != receipt.payment_id {
        return Err(ReceiptFault::Incomplete("the payment is not that of the booking".to_owned()));
    }
    for event in &receipt.events {
        let position = event.position;
        let foreign = |why| Err(ReceiptFault::Foreign { position, why });
        if position <= last {
            return foreign("the events are not in the order of the log");
        }
        last = position;
        let is = |kind: AggregateType, id: uuid::Uuid| {
            event.aggregate_type == kind.as_str() && event.aggregate_id == id.to_string()
        };
        let count = if is(AggregateType::Booking, receipt.booking_id) {
            if event.sequence == 1 && !speaks(event, receipt.concert_id) {
                return foreign("its booking is of another concert");
            }
            &mut booking
        } else if is(AggregateType::Payment, receipt.payment_id) {
            &mut payment
        } else if is(AggregateType::Concert, receipt.concert_id) {
            // That the concert was called off names no booking; but the booking's own events say that they follow from it.
            if speaks(event, receipt.booking_id) || causes.contains(&position) {
                continue;
            }
            return foreign("it is of the concert, and says nothing of the booking");
        } else {
            return foreign("it is of something else");
        };
        *count += 1;
        if event.sequence != *count {
            let what = format!("event {count} of {} {}", event.aggregate_type, event.aggregate_id);
            return Err(ReceiptFault::Incomplete(format!("{what} is not there, but event {} is", event.sequence)));
        }
    }
    if booking == 0 {
        return Err(ReceiptFault::Incomplete("there is no event of the booking".to_owned()));
    }
    Ok(())
}

/// The position of the event that one says it follows from.
fn cause(event: &ReceiptEvent) -> Option<u64> {
    let metadata: Metadata = serde_json::from_str(&event.metadata).ok()?;
    metadata.causation.strip_prefix("event:")?.parse().ok()
}

/// Whether an event names this id.
fn speaks(event: &ReceiptEvent, id: uuid::Uuid) -> bool {
    let payload: Result<serde_json::Value, _> = serde_json::from_str(&event.payload);
    payload.is_ok_and(|payload| speaks_of(&payload, &id.to_string()))
}

fn speaks_of(value: &serde_json::Value, id: &str) -> bool {
    match value {
        serde_json::Value::String(text) => text == id,
        serde_json::Value::Array(values) => values.iter().any(|value| speaks_of(value, id)),
        serde_json::Value::Object(values) => values.values().any(|value| speaks_of(value, id)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}
