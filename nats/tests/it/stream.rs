//! The stream is what it must be, or somebody is told.

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use nats::{MAX_BYTES_DEFAULT, STREAM, SUBJECTS, StreamError, StreamOptions, ensure_stream};

use crate::support::World;

fn named(changes: Config) -> Config {
    Config { name: STREAM.to_owned(), subjects: vec![SUBJECTS.to_owned()], ..changes }
}

#[tokio::test]
async fn a_new_one_keeps_everything_and_lets_nobody_delete() {
    let world = World::start().await;
    let context = world.context().await;
    ensure_stream(&context, StreamOptions::default()).await.unwrap();
    let config = world.stream().await.cached_info().config.clone();
    assert_eq!(config.subjects, ["boxoffice.events.>"]);
    assert_eq!((config.storage, config.retention), (StorageType::File, RetentionPolicy::Limits));
    assert_eq!(config.discard, DiscardPolicy::New);
    assert_eq!(config.max_bytes.cast_unsigned(), MAX_BYTES_DEFAULT);
    assert!(config.deny_delete && config.deny_purge && config.allow_direct);
    assert!(config.max_messages < 1 && config.max_age.is_zero());
    // Again, it is left alone.
    ensure_stream(&context, StreamOptions::default()).await.unwrap();
}

#[tokio::test]
async fn harmless_differences_are_changed() {
    let world = World::start().await;
    let context = world.context().await;
    let lax = named(Config { discard: DiscardPolicy::Old, max_messages: 1_000_000, ..Config::default() });
    context.create_stream(lax).await.unwrap();
    let options = StreamOptions { max_bytes: 1 << 30, ..StreamOptions::default() };
    ensure_stream(&context, options).await.unwrap();
    let config = world.stream().await.cached_info().config.clone();
    assert_eq!((config.discard, config.max_bytes, config.max_messages), (DiscardPolicy::New, 1 << 30, -1));
    assert!(config.deny_delete && config.deny_purge && config.allow_direct);
}

#[tokio::test]
async fn a_stream_of_somebody_else_is_refused_by_the_fields_that_differ_and_halts_the_relay() {
    let world = World::start().await;
    let context = world.context().await;
    let foreign = Config {
        storage: StorageType::Memory,
        retention: RetentionPolicy::Interest,
        subjects: vec!["boxoffice.events.>".to_owned(), "orders.>".to_owned()],
        ..named(Config::default())
    };
    let foreign = Config { subjects: vec![SUBJECTS.to_owned(), "orders.>".to_owned()], ..foreign };
    context.create_stream(&foreign).await.unwrap();
    let refused = ensure_stream(&context, StreamOptions::default()).await.unwrap_err();
    let StreamError::Foreign(differences) = refused else { panic!("{refused}") };
    let fields: Vec<_> = differences.0.iter().map(|difference| difference.field.as_str()).collect();
    assert_eq!(fields, ["retention", "storage", "subjects"]);

    let mut relay = world.relay().await;
    let halt = relay.halted().await;
    assert!(halt.contains("storage is \"memory\", not \"file\""), "{halt}");
    let after = world.stream().await.cached_info().config.clone();
    assert_eq!((after.storage, after.subjects), (foreign.storage, foreign.subjects), "it was left alone");
    relay.stop().await;
}

#[tokio::test]
async fn a_full_stream_drops_nothing_and_goes_on_when_the_limit_is_raised() {
    let world = World::start().await;
    let mut relay = world.relay_with(StreamOptions { max_bytes: 64 * 1024, ..StreamOptions::default() }).await;
    world.append(500).await;
    relay.reached(journal::Position(20)).await;
    let state = world.stream().await.get_info().await.unwrap().state;
    assert!(state.first_sequence == 1 && state.last_sequence < 500, "{state:?}");
    relay.stop().await;
    let mut relay = world.relay().await;
    relay.reached(world.journal.position()).await;
    world.assert_mirrored().await;
    relay.stop().await;
}
