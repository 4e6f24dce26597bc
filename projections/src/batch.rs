//! A run of decoded events, applied as one.

use std::sync::Arc;

use aggregates::{Event, Upcasters};
use journal::{Position, RecordedEvent};

use crate::{Anchor, Error};

/// One event, as it was recorded and as today's code reads it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where and when it was recorded.
    pub recorded: Arc<RecordedEvent>,
    /// What it says.
    pub event: Event,
}

/// Events in position order without a gap, beginning right after `from`; at least one.
#[derive(Clone, Debug)]
pub struct Batch {
    from: Position,
    entries: Vec<Entry>,
}

impl Batch {
    /// Decodes `events`, the first of which is the one after `from`. Stops before the first that does not decode, and
    /// hands that out as the error beside what stands before it.
    pub(crate) fn decode(
        from: Position,
        events: Vec<Arc<RecordedEvent>>,
        upcasters: &Upcasters,
    ) -> (Option<Self>, Option<Error>) {
        let mut entries = Vec::with_capacity(events.len());
        let mut poison = None;
        for recorded in events {
            match recorded.decode(upcasters) {
                Ok(event) => entries.push(Entry { recorded, event }),
                Err(source) => {
                    poison = Some(Error::Undecodable {
                        position: recorded.position,
                        aggregate: recorded.aggregate,
                        aggregate_id: recorded.aggregate_id,
                        source,
                    });
                    break;
                }
            }
        }
        ((!entries.is_empty()).then_some(Self { from, entries }), poison)
    }

    /// What of it stands before `position`.
    pub(crate) fn before(mut self, position: Position) -> Option<Self> {
        self.entries.retain(|entry| entry.recorded.position < position);
        (!self.entries.is_empty()).then_some(self)
    }

    /// The checkpoint on which it builds.
    pub const fn from(&self) -> Position {
        self.from
    }

    /// The checkpoint once it is applied.
    pub fn to(&self) -> Position {
        self.entries.last().map_or(self.from, |entry| entry.recorded.position)
    }

    /// What its last event is known by; `None` only of an empty batch, which never comes to be.
    pub fn anchor(&self) -> Option<Anchor> {
        self.entries.last().map(|entry| Anchor::of(&entry.recorded))
    }

    /// Its events, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
