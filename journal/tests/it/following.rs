//! Following the log from any place.

use aggregates::Booking;
use journal::Position;
use uuid::Uuid;

use crate::support::{World, metadata, open, request};

async fn append(journal: &journal::Journal, count: usize) {
    let mut unit = journal.unit().await;
    for _ in 0..count {
        let id = Uuid::now_v7();
        unit.execute_new::<Booking>(id, request(id, 1), &metadata()).await.unwrap();
    }
    unit.enqueue(None).await.unwrap().committed().await.unwrap();
}

#[tokio::test]
async fn a_follower_reads_postgres_first_and_memory_near_the_end() {
    let world = World::start().await;
    append(&world.journal, 500).await;
    // A process that starts now has nothing in memory yet.
    let late = open(&world.postgres.url()).await;
    append(&late, 300).await;
    let mut follower = late.follow(Position(100));
    let mut expected = Position(100);
    while expected < Position(800) {
        for event in follower.next(64).await.unwrap() {
            expected = expected.next();
            assert_eq!(event.position, expected);
        }
        assert_eq!(follower.position(), expected);
    }
    follower.seek(Position(799));
    assert_eq!(follower.next(10).await.unwrap()[0].position, Position(800));
}

#[tokio::test]
async fn a_follower_waits_for_what_another_process_appends() {
    let world = World::start().await;
    let other = open(&world.postgres.url()).await;
    let mut follower = other.follow(Position(0));
    let waiting = tokio::spawn(async move { follower.next(10).await });
    append(&world.journal, 1).await;
    let events = waiting.await.unwrap().unwrap();
    assert_eq!(events[0].position, Position(1));
    other.reached(Position(1)).await;
    assert_eq!(other.position(), Position(1));
}

#[tokio::test]
async fn a_row_that_was_removed_is_noticed_not_skipped() {
    let world = World::start().await;
    append(&world.journal, 10).await;
    sqlx::query("DELETE FROM events WHERE position = 4").execute(world.journal.pool()).await.unwrap();
    let late = open(&world.postgres.url()).await;
    append(&late, 1).await;
    let mut follower = late.follow(Position(3));
    assert!(matches!(follower.next(10).await, Err(journal::ReadError::Missing(Position(4)))));
}
