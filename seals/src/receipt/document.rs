//! What a receipt looks like.

use chrono::{DateTime, SecondsFormat, Utc};
use journal::{Position, RecordedEvent, Sequence};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Hash, LeafHasher, Row};

/// The version of the document.
pub const VERSION: u32 = 1;

/// A booking's events, their inclusion proofs, and the signed checkpoint that they lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// 1.
    pub version: u32,
    /// The booking.
    pub booking_id: Uuid,
    /// Its payment.
    pub payment_id: Uuid,
    /// Its concert.
    pub concert_id: Uuid,
    /// The signed checkpoint (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// Every event of the booking and of its payment, and those of the concert that are known to be about it, by position.
    pub events: Vec<ReceiptEvent>,
}

/// A row of the log to the byte, and the proof that it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptEvent {
    /// Place in the log; its leaf is the one before, as leaves are counted from 0.
    pub position: u64,
    /// RFC 3339, to the microsecond.
    pub recorded_at: String,
    /// Kind of the aggregate.
    pub aggregate_type: String,
    /// The aggregate.
    pub aggregate_id: String,
    /// Place in the aggregate's stream.
    pub sequence: u64,
    /// The event's name.
    pub event_type: String,
    /// The version it was written in.
    pub event_version: String,
    /// The event as JSON text, to the byte: what is hashed is this text.
    pub payload: String,
    /// Who, why and in what unit, likewise.
    pub metadata: String,
    /// The hash of the leaf that this makes.
    pub leaf_hash: Hash,
    /// From the leaf to the root, nearest first.
    pub inclusion_proof: Vec<Hash>,
}

impl ReceiptEvent {
    pub(super) fn new(event: &RecordedEvent, inclusion_proof: Vec<Hash>) -> Self {
        Self {
            position: event.position.0,
            recorded_at: event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            aggregate_type: event.aggregate.as_str().to_owned(),
            aggregate_id: event.aggregate_id.to_string(),
            sequence: event.sequence.0,
            event_type: event.event_type.to_string(),
            event_version: event.event_version.to_string(),
            payload: event.payload.to_string(),
            metadata: event.metadata.to_string(),
            leaf_hash: LeafHasher::default().hash_event(event),
            inclusion_proof,
        }
    }

    /// When it was recorded; `None` where that is no time.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        Some(DateTime::parse_from_rfc3339(&self.recorded_at).ok()?.to_utc())
    }

    /// The row; `None` where its time is none.
    pub fn row(&self) -> Option<Row<'_>> {
        Some(Row {
            position: Position(self.position),
            recorded_at_micros: self.time()?.timestamp_micros(),
            aggregate_type: &self.aggregate_type,
            aggregate_id: &self.aggregate_id,
            sequence: Sequence(self.sequence),
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: &self.payload,
            metadata: &self.metadata,
        })
    }
}
