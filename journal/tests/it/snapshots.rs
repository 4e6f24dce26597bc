//! A concert with very many events loads from its snapshot and the few events after it.

use std::time::{Duration, Instant};

use aggregates::Concert;
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
