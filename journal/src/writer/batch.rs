//! Units of work that are committed together.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Committed, Promise, Queued,
    statement::{WriteError, Written},
};
use crate::{AppendError, Position, RecordedEvent, append::Append, snapshot::Due};

/// Events in one commit, at most; a unit alone may have more.
const BATCH_EVENTS_MAX: usize = 4_096;
/// Payload and metadata in one commit, at most; a unit alone may have more.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Batch(Vec<Queued>);

/// A batch as it stands in the log.
pub(super) struct Recorded {
    pub events: Vec<Arc<RecordedEvent>>,
    pub snapshots: Vec<Due>,
    pub promises: Vec<(Promise, Committed)>,
}

impl Batch {
    /// Takes from the front of `waiting` what fits. A unit with an attachment goes alone, since its constraint may
    /// refuse it; and a checkpoint moves once a statement.
    pub fn take(waiting: &mut VecDeque<Queued>) -> Self {
        let mut batch = Self::default();
        let (mut events, mut bytes) = (0, 0);
        while let Some(next) = waiting.front() {
            let append = &next.append;
            events += append.events.len();
            bytes += append.weight_bytes();
            let fits = batch.0.is_empty()
                || (events <= BATCH_EVENTS_MAX && bytes <= BATCH_BYTES_MAX && !batch.keeps_out(append));
            if !fits {
                break;
            }
            batch.0.extend(waiting.pop_front());
        }
        batch
    }

    fn keeps_out(&self, append: &Append) -> bool {
        let moves_same = |other: &Append| match (&append.checkpoint, &other.checkpoint) {
            (Some(step), Some(other)) => step.name == other.name,
            (None, _) | (_, None) => false,
        };
        append.attachment.is_some()
            || self.0.iter().any(|queued| queued.append.attachment.is_some() || moves_same(&queued.append))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn events(&self) -> usize {
        self.0.iter().map(|queued| queued.append.events.len()).sum()
    }

    pub fn appends(&self) -> Vec<&Append> {
        self.0.iter().map(|queued| &queued.append).collect()
    }

    /// Fails the units that were built on a state that turned out wrong, and with each whatever is built on it in
    /// turn; what is left was built on what is in the log.
    pub fn fail_stale(self) -> Self {
        let mut live = Self::default();
        for queued in self.0 {
            if queued.append.is_stale() {
                queued.append.invalidate();
                queued.promise.keep(Err(AppendError::Dependency));
            } else {
                live.0.push(queued);
            }
        }
        live
    }

    pub fn fail(self, error: &WriteError) {
        for queued in self.0 {
            queued.append.invalidate();
            queued.promise.keep(Err(error.into()));
        }
    }

    pub fn one_by_one(self) -> impl Iterator<Item = Self> {
        self.0.into_iter().map(|queued| Self(vec![queued]))
    }

    /// The batch as it stands in the log now.
    pub fn recorded(self, written: &Written) -> Recorded {
        let mut events = Vec::with_capacity(self.events());
        let mut snapshots = Vec::new();
        let mut promises = Vec::with_capacity(self.0.len());
        let mut position = written.base;
        for Queued { append, promise } in self.0 {
            let first = if append.events.is_empty() { position } else { position.next() };
            for event in append.events {
                position = position.next();
                events.push(Arc::new(RecordedEvent {
                    position,
                    recorded_at: written.recorded_at,
                    aggregate: event.aggregate,
                    aggregate_id: event.aggregate_id,
                    sequence: event.sequence,
                    event_type: event.event_type.into(),
                    event_version: event.event_version.into(),
                    payload: event.payload,
                    metadata: event.metadata,
                }));
            }
            snapshots.extend(append.snapshots);
            let last: Position = position;
            promises.push((promise, Committed { first, last, recorded_at: written.recorded_at }));
        }
        Recorded { events, snapshots, promises }
    }
}
