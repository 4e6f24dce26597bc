//! What is appended as one: events of one or several streams, a checkpoint, and rows that must commit with them.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aggregates::AggregateType;
use cqrs_es::{Aggregate, DomainEvent};
use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Metadata, Position, Sequence};

/// Events in one unit of work, at most.
pub const UNIT_EVENTS_MAX: usize = 8_192;

/// A checkpoint's step, valid only from where it is expected to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointMove {
    /// Whose checkpoint.
    pub name: Arc<str>,
    /// Where it must be.
    pub from: Position,
    /// Where it goes.
    pub to: Position,
}

/// Rows outside the log that must commit with a unit of work, or not at all: credentials, keys.
pub trait Attachment: Send + Sync {
    /// Writes them in the unit's transaction. A violated constraint refuses the whole unit.
    fn write<'a>(&'a self, transaction: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>>;
}

/// One event on its way into the log.
pub(crate) struct NewEvent {
    pub aggregate: AggregateType,
    pub aggregate_id: Uuid,
    pub sequence: Sequence,
    pub event_type: Cow<'static, str>,
    pub event_version: &'static str,
    pub payload: Arc<str>,
    pub metadata: Arc<str>,
}

/// Which state of a cached aggregate a unit was built on: when the generation has moved on, that state was wrong.
#[derive(Clone)]
pub(crate) struct BuiltOn {
    pub generation: Arc<AtomicU64>,
    pub expected: u64,
}

impl BuiltOn {
    pub fn is_stale(&self) -> bool {
        self.generation.load(Ordering::Acquire) != self.expected
    }

    /// Everything that was built on the same state is now stale too.
    pub fn invalidate(&self) {
        let _already_newer =
            self.generation.compare_exchange(self.expected, self.expected + 1, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// What is appended as one.
pub(crate) struct Append {
    /// Its own name, in the metadata of each of its events.
    pub unit: Arc<str>,
    pub events: Vec<NewEvent>,
    pub checkpoint: Option<CheckpointMove>,
    pub attachment: Option<Arc<dyn Attachment>>,
    /// States that its events change: whatever is built on them in turn fails with it.
    pub built_on: Vec<BuiltOn>,
    /// States that it was decided on without changing them. If one of them turns out wrong, so was the decision.
    pub decided_on: Vec<BuiltOn>,
    /// Worth a snapshot once committed.
    pub snapshots: Vec<crate::snapshot::Due>,
}

impl Append {
    pub fn new() -> Self {
        Self {
            unit: Uuid::now_v7().simple().to_string().into(),
            events: Vec::new(),
            checkpoint: None,
            attachment: None,
            built_on: Vec::new(),
            decided_on: Vec::new(),
            snapshots: Vec::new(),
        }
    }

    /// Adds `events` of one aggregate after `last`, and returns the sequence of the last one added.
    pub fn push<A: Aggregate>(
        &mut self,
        (aggregate, aggregate_id, last): (AggregateType, Uuid, Sequence),
        events: &[A::Event],
        metadata: &Metadata,
    ) -> Sequence {
        let metadata: Arc<str> = metadata.to_json(&self.unit).into();
        let mut sequence = last;
        for event in events {
            sequence = sequence.next();
            self.events.push(NewEvent {
                aggregate,
                aggregate_id,
                sequence,
                event_type: event.event_type().into(),
                event_version: version_of(event),
                payload: serde_json::to_string(event)
                    .unwrap_or_else(|error| unreachable!("an event is JSON: {error}"))
                    .into(),
                metadata: Arc::clone(&metadata),
            });
        }
        sequence
    }

    pub fn weight_bytes(&self) -> usize {
        self.events.iter().map(|event| event.payload.len() + event.metadata.len()).sum()
    }

    pub fn is_stale(&self) -> bool {
        self.built_on.iter().chain(&self.decided_on).any(BuiltOn::is_stale)
    }

    pub fn invalidate(&self) {
        self.built_on.iter().for_each(BuiltOn::invalidate);
    }
}

/// Every event of today's code is written in today's version.
fn version_of<E: DomainEvent>(event: &E) -> &'static str {
    debug_assert_eq!(event.event_version(), VERSION);
    VERSION
}

const VERSION: &str = aggregates::BookingEvent::VERSION;

/// The metadata map of cqrs-es as ours.
pub(crate) fn metadata_of(map: &HashMap<String, String>) -> Metadata {
    Metadata::from_map(map)
}
