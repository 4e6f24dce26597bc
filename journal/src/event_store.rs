//! The journal as an event store of cqrs-es, so that its framework and tools run on it.

use std::{collections::HashMap, marker::PhantomData};

use aggregates::Decide;
use cqrs_es::{
    AggregateContext, AggregateError, EventEnvelope, EventStore,
    persist::{PersistedEventRepository, PersistenceError},
};
use uuid::Uuid;

use crate::{AppendError, Journal, ReadError, Sequence, append::Append, append::metadata_of, load};

/// The aggregates of type `A` in the journal.
#[derive(Clone)]
pub struct JournalStore<A> {
    journal: Journal,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> JournalStore<A> {
    /// A store over `journal`.
    pub const fn new(journal: Journal) -> Self {
        Self { journal, aggregate: PhantomData }
    }
}

/// A loaded aggregate and the sequence its next events follow.
pub struct JournalContext<A> {
    id: Uuid,
    state: A,
    sequence: Sequence,
}

impl<A: Decide> AggregateContext<A> for JournalContext<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.state
    }
}

impl<A: Decide> EventStore<A> for JournalStore<A> {
    type AC = JournalContext<A>;

    async fn load_events(&self, aggregate_id: &str) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let stored = self.journal.inner.repository.get_events::<A>(aggregate_id).await?;
        let mut events = Vec::with_capacity(stored.len());
        for event in stored {
            let (aggregate_id, sequence) = (event.aggregate_id.clone(), event.sequence);
            let metadata = serde_json::from_value(event.metadata.clone())?;
            let payload = load::decode::<A>(&self.journal.inner.upcasters, event).map_err(read_error)?;
            events.push(EventEnvelope { aggregate_id, sequence, payload, metadata });
        }
        Ok(events)
    }

    async fn load_aggregate(&self, aggregate_id: &str) -> Result<Self::AC, AggregateError<A::Error>> {
        let id: Uuid = aggregate_id.parse().map_err(unexpected)?;
        let loaded = self.journal.load::<A>(id).await.map_err(read_error)?;
        Ok(JournalContext { id, state: loaded.state, sequence: loaded.sequence })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Self::AC,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let mut append = Append::new();
        let JournalContext { id, sequence, .. } = context;
        let last = append.push::<A>((A::KIND, id, sequence), &events, &metadata_of(&metadata));
        let ticket = self.journal.enqueue(append, |_ticket| ()).await.map_err(append_error)?;
        ticket.committed().await.map_err(append_error)?;
        // The events did not pass the cache; a state there that lacks them is read again.
        self.journal.inner.cache.observe(A::KIND, id, last);
        Ok(events
            .into_iter()
            .zip(sequence.0 + 1..)
            .map(|(payload, sequence)| EventEnvelope {
                aggregate_id: id.to_string(),
                sequence: usize::try_from(sequence).unwrap_or(usize::MAX),
                payload,
                metadata: metadata.clone(),
            })
            .collect())
    }
}

fn unexpected<E: std::error::Error>(error: impl std::error::Error + Send + Sync + 'static) -> AggregateError<E> {
    AggregateError::UnexpectedError(Box::new(error))
}

fn append_error<E: std::error::Error>(error: AppendError) -> AggregateError<E> {
    match error {
        AppendError::Conflict(_) | AppendError::Dependency => AggregateError::AggregateConflict,
        AppendError::Overloaded | AppendError::Unavailable(_) | AppendError::Unknown(_) | AppendError::Closed => {
            AggregateError::DatabaseConnectionError(Box::new(error))
        }
        AppendError::CheckpointMoved
        | AppendError::Constraint { .. }
        | AppendError::Database(_)
        | AppendError::TooLarge(_) => unexpected(error),
    }
}

fn read_error<E: std::error::Error>(error: ReadError) -> AggregateError<E> {
    match error {
        ReadError::Repository(error) => error.into(),
        ReadError::Decode(_) => AggregateError::DeserializationError(Box::new(error)),
        ReadError::Database(error) => PersistenceError::ConnectionError(Box::new(error)).into(),
        ReadError::Missing(_) | ReadError::Mirror(_) => unexpected(error),
    }
}
