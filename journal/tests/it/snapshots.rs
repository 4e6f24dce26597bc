//! A concert with very many events loads from its snapshot and the few events after it.

use std::time::{Duration, Instant};

use aggregates::{Concert, ConcertCommand, concert::Register};
use stack::testing::eventually;
use uuid::Uuid;

use crate::support::{World, assert_gapless, hold, metadata, open, register};

const UNITS: usize = 50;
const HOLDS: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concert_with_100_000_events_loads_from_a_snapshot() {
    let world = World::start().await;
    let concert = Uuid::now_v7();
    world.journal.execute_new::<Concert>(concert, register(concert, 1_000_000), &metadata()).await.unwrap();
    for _ in 0..UNITS {
        let mut unit = world.journal.unit().await;
        for _ in 0..HOLDS {
            unit.execute::<Concert>(concert, hold(concert), &metadata()).await.unwrap();
        }
        unit.enqueue(None).await.unwrap().committed().await.unwrap();
    }
    let cached = world.journal.load::<Concert>(concert).await.unwrap();
    assert_eq!(cached.sequence.0, (UNITS * HOLDS + 1) as u64);

    // Whatever of the last snapshots was skipped, a tenth of the log is all that is ever read after one.
    eventually("a recent snapshot", Duration::from_secs(20), || async {
        let last: Option<i64> = sqlx::query_scalar("SELECT last_sequence FROM snapshots")
            .fetch_optional(world.journal.pool())
            .await
            .unwrap();
        last.is_some_and(|last| last > 80_000)
    })
    .await;
    let fresh = open(&world.postgres.url()).await;
    let begun = Instant::now();
    let loaded = fresh.load::<Concert>(concert).await.unwrap();
    eprintln!("loaded {} events' worth in {:?}", loaded.sequence, begun.elapsed());
    assert!(loaded.snapshot.0 > 80_000, "loaded from the snapshot at {}", loaded.snapshot);
    assert_eq!(loaded.state, cached.state);
    assert_eq!(loaded.sequence, cached.sequence);
    let snapshots: i64 =
        sqlx::query_scalar("SELECT count(*) FROM snapshots").fetch_one(world.journal.pool()).await.unwrap();
    assert_eq!(snapshots, 1, "one snapshot an aggregate");
    assert_gapless(&world.log().await);
}

#[tokio::test]
async fn a_snapshot_holds_whatever_a_name_can_and_takes_the_place_of_the_one_before() {
    let world = World::start().await;
    let concert = Uuid::now_v7();
    let odd = "a \\ b \\. , \"c\" \\n \\N 가을 🎫".to_owned();
    let ConcertCommand::Register(terms) = register(concert, 1_000_000) else { unreachable!("it registers") };
    let register = ConcertCommand::Register(Register { name: odd.clone(), venue: Some("\\.".to_owned()), ..terms });
    world.journal.execute_new::<Concert>(concert, register, &metadata()).await.unwrap();
    for number in 1..=2_i64 {
        let mut unit = world.journal.unit().await;
        for _ in 0..HOLDS {
            unit.execute::<Concert>(concert, hold(concert), &metadata()).await.unwrap();
        }
        unit.enqueue(None).await.unwrap().committed().await.unwrap();
        eventually("the snapshot", Duration::from_secs(20), || async {
            let found: Vec<i64> = sqlx::query_scalar("SELECT current_snapshot FROM snapshots")
                .fetch_all(world.journal.pool())
                .await
                .unwrap();
            found.iter().any(|found| *found >= number)
        })
        .await;
        let loaded = open(&world.postgres.url()).await.load::<Concert>(concert).await.unwrap();
        assert!(loaded.snapshot.0 >= 1_000, "it was loaded from a snapshot: {}", loaded.snapshot);
        assert_eq!(loaded.state, world.journal.load::<Concert>(concert).await.unwrap().state);
        assert_eq!(loaded.state.terms().unwrap().name, odd);
    }
}
