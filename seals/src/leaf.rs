//! What a leaf is: every column of a row of `events`, without ambiguity. docs/seals.md says the same for others.

use journal::{Position, RecordedEvent, Sequence};
use sha2::{Digest as _, Sha256};

use crate::hash::{Hash, LEAF_PREFIX};

/// The first byte of every leaf. Another encoding would have another.
pub const LEAF_VERSION: u8 = 1;

/// Bytes that an entry of a bundle may have: C2SP tlog-tiles writes its length in two bytes.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// A row of `events`, borrowed: the exact stored text of every column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Place in the log.
    pub position: Position,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub recorded_at_micros: i64,
    /// Kind of the aggregate.
    pub aggregate_type: &'a str,
    /// The aggregate, as text.
    pub aggregate_id: &'a str,
    /// Place in the aggregate's stream.
    pub sequence: Sequence,
    /// The event's name.
    pub event_type: &'a str,
    /// The version it was written in.
    pub event_version: &'a str,
    /// The event, as the stored JSON text.
    pub payload: &'a str,
    /// Who, why and in what unit, as the stored JSON text.
    pub metadata: &'a str,
}

impl Row<'_> {
    /// Appends the leaf to `bytes`: the version, then position and time and so on, all numbers eight bytes in big endian, each
    /// text after its length in bytes, four bytes in big endian.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(LEAF_VERSION);
        bytes.extend_from_slice(&self.position.0.to_be_bytes());
        bytes.extend_from_slice(&self.recorded_at_micros.to_be_bytes());
        text(bytes, self.aggregate_type);
        text(bytes, self.aggregate_id);
        bytes.extend_from_slice(&self.sequence.0.to_be_bytes());
        for column in [self.event_type, self.event_version, self.payload, self.metadata] {
            text(bytes, column);
        }
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    // Postgres keeps no text of 4 GiB.
    let length = u32::try_from(text.len()).unwrap_or_else(|_| unreachable!("no column has 4 GiB"));
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Hashes leaves one after another, in one buffer.
#[derive(Debug, Default)]
pub struct LeafHasher(Vec<u8>);

impl LeafHasher {
    /// The leaf hash of a row.
    pub fn hash(&mut self, row: &Row<'_>) -> Hash {
        self.0.clear();
        self.0.push(LEAF_PREFIX);
        row.encode(&mut self.0);
        Hash(Sha256::digest(&self.0).into())
    }

    /// The leaf hash of an event.
    pub fn hash_event(&mut self, event: &RecordedEvent) -> Hash {
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        self.hash(&Row::of(event, &mut id))
    }
}

impl<'a> Row<'a> {
    /// The row that an event was read from; `id` takes the text of the aggregate's id.
    pub fn of(event: &'a RecordedEvent, id: &'a mut [u8; uuid::fmt::Hyphenated::LENGTH]) -> Self {
        Self {
            position: event.position,
            recorded_at_micros: event.recorded_at.timestamp_micros(),
            aggregate_type: event.aggregate.as_str(),
            aggregate_id: event.aggregate_id.hyphenated().encode_lower(id),
            sequence: event.sequence,
            event_type: &event.event_type,
            event_version: &event.event_version,
            payload: &event.payload,
            metadata: &event.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    const ROW: Row<'_> = Row {
        position: Position(258),
        recorded_at_micros: -1,
        aggregate_type: "user",
        aggregate_id: "é",
        sequence: Sequence(2),
        event_type: "E",
        event_version: "1",
        payload: "{}",
        metadata: "",
    };

    #[test]
    fn a_leaf_is_written_byte_by_byte_as_the_page_says() {
        let mut leaf = Vec::new();
        ROW.encode(&mut leaf);
        let expected = [
            &[1][..],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[255; 8],
            &[0, 0, 0, 4],
            b"user",
            &[0, 0, 0, 2],
            "é".as_bytes(),
            &[0, 0, 0, 0, 0, 0, 0, 2],
            &[0, 0, 0, 1],
            b"E",
            &[0, 0, 0, 1],
            b"1",
            &[0, 0, 0, 2],
            b"{}",
            &[0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(leaf, expected);
        assert_eq!(LeafHasher::default().hash(&ROW), leaf_hash(&leaf));
    }

    #[test]
    fn no_column_can_lend_a_byte_to_the_next() {
        let mut leaf = LeafHasher::default();
        let moved = Row { event_type: "", event_version: "E1", ..ROW };
        let hashes = [
            leaf.hash(&ROW),
            leaf.hash(&moved),
            leaf.hash(&Row { position: Position(259), ..ROW }),
            leaf.hash(&Row { recorded_at_micros: 0, ..ROW }),
            leaf.hash(&Row { sequence: Sequence(3), ..ROW }),
            leaf.hash(&Row { payload: "{ }", ..ROW }),
            leaf.hash(&Row { metadata: " ", ..ROW }),
        ];
        for (nth, hash) in hashes.iter().enumerate() {
            assert!(!hashes[nth + 1..].contains(hash), "{nth}");
        }
    }
}
