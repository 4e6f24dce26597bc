//! A run of decoded events, applied as one.

use std::sync::Arc;

use aggregates::{Event, Upcasters};
use journal::{Position, RecordedEvent};

use crate::Anchor;

/// One event, as it was recorded and as today's code reads it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where and when it was recorded.
    pub recorded: Arc<RecordedEvent>,
    /// What it says, or why nobody can tell.
    pub event: Result<Event, String>,
}

/// Events in position order without a gap, beginning right after `from`; at least one. Of those that the projection does
/// not want only the position counts: they are not decoded. Clones share what they hold.
#[derive(Clone, Debug)]
pub struct Batch {
    from: Position,
    last: Arc<RecordedEvent>,
    entries: Arc<Vec<Entry>>,
}

impl Batch {
    /// Decodes those of `events` that are wanted. The first of them is the one after `from`; `None` where there are none.
    pub(crate) fn decode(
        from: Position,
        events: &[Arc<RecordedEvent>],
        wants: impl Fn(&RecordedEvent) -> bool,
        upcasters: &Upcasters,
    ) -> Option<Self> {
        let wanted = events.iter().filter(|recorded| wants(recorded));
        let entries = wanted.map(|recorded| Entry {
            recorded: Arc::clone(recorded),
            event: recorded.decode(upcasters).map_err(|error| error.to_string()),
        });
        let last = Arc::clone(events.last()?);
        Some(Self { from, last, entries: Arc::new(entries.collect()) })
    }

    /// The checkpoint on which it builds.
    pub const fn from(&self) -> Position {
        self.from
    }

    /// The checkpoint once it is applied.
    pub fn to(&self) -> Position {
        self.last.position
    }

    /// What its last event is known by.
    pub fn anchor(&self) -> Anchor {
        Anchor::of(&self.last)
    }

    /// Those of its events that are wanted, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
