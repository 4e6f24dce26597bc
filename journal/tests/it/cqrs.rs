//! cqrs-es and postgres-es, unmodified, over the journal.

use std::collections::HashMap;

use aggregates::{Booking, BookingError, BookingEvent, BookingStatus};
use cqrs_es::{
    AggregateError, CqrsFramework, EventEnvelope, EventStore,
    persist::{PersistedEventRepository, PersistedEventStore},
};
use journal::JournalStore;
use postgres_es::PostgresEventRepository;
use uuid::Uuid;

use crate::support::{CANCEL, World, assert_gapless, metadata, request};

#[tokio::test]
async fn the_cqrs_framework_runs_on_the_journal() {
    let world = World::start().await;
    let framework = CqrsFramework::new(JournalStore::<Booking>::new(world.journal.clone()), vec![], ());
    let id = Uuid::now_v7();
    let about = HashMap::from([("actor".to_owned(), "user:7".to_owned())]);
    framework.execute_with_metadata(&id.to_string(), request(id, 2), about).await.unwrap();
    framework.execute(&id.to_string(), CANCEL).await.unwrap();
    let refusal = framework.execute(&Uuid::now_v7().to_string(), CANCEL).await.unwrap_err();
    assert!(matches!(refusal, AggregateError::UserError(BookingError::NoSuchBooking)));

    let log = world.log().await;
    assert_gapless(&log);
    assert_eq!(log.iter().map(|event| &*event.event_type).collect::<Vec<_>>(), ["BookingRequested", "BookingCanceled"]);
    assert!(log[0].metadata.contains(r#""actor":"user:7""#), "{}", log[0].metadata);
    // What the framework appended is seen by the journal's own cache, and the other way round.
    let state = world.journal.load::<Booking>(id).await.unwrap().state;
    assert_eq!(state.status(), Some(BookingStatus::BookingCanceled));
    let events = JournalStore::<Booking>::new(world.journal.clone()).load_events(&id.to_string()).await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn the_journal_reads_back_through_an_unmodified_postgres_event_repository() {
    let world = World::start().await;
    let id = Uuid::now_v7();
    world.journal.execute_new::<Booking>(id, request(id, 2), &metadata()).await.unwrap();
    world.journal.execute::<Booking>(id, CANCEL, &metadata()).await.unwrap();

    let repository = PostgresEventRepository::new(world.journal.pool().clone());
    let stored = repository.get_events::<Booking>(&id.to_string()).await.unwrap();
    let events: Vec<EventEnvelope<Booking>> =
        stored.into_iter().map(|event| EventEnvelope::try_from(event).unwrap()).collect();
    assert!(matches!(events[0].payload, BookingEvent::BookingRequested { qty, .. } if qty.get() == 2));
    assert!(matches!(events[1].payload, BookingEvent::BookingCanceled { .. }));
    assert_eq!(events[1].metadata["correlation"], "r1");

    let store = PersistedEventStore::<PostgresEventRepository, Booking>::new_event_store(repository);
    let mut context = store.load_aggregate(&id.to_string()).await.unwrap();
    let state = cqrs_es::AggregateContext::aggregate(&mut context).clone();
    assert_eq!(state, world.journal.load::<Booking>(id).await.unwrap().state);
}
