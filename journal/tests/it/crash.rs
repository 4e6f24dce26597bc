//! Postgres killed in the middle of appends.

use std::{collections::HashSet, sync::Arc, time::Duration};

use aggregates::Booking;
use parking_lot::Mutex;
use stack::testing::eventually;
use uuid::Uuid;

use crate::support::{Shared, World, assert_gapless, metadata, request};

const WRITERS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_acknowledged_append_survives_sigkill_and_none_is_there_twice() {
    let world = World::start().await;
    let acknowledged: Shared<HashSet<Uuid>> = Arc::default();
    let asked: Shared<HashSet<Uuid>> = Arc::default();
    let stop = Arc::new(Mutex::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (journal, acknowledged, asked) = (world.journal.clone(), Arc::clone(&acknowledged), Arc::clone(&asked));
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                while !*stop.lock() {
                    let id = Uuid::now_v7();
                    asked.lock().insert(id);
                    if journal.execute_new::<Booking>(id, request(id, 1), &metadata()).await.is_ok() {
                        acknowledged.lock().insert(id);
                    }
                }
            })
        })
        .collect();

    for round in 1..=3 {
        let before = acknowledged.lock().len();
        let deadline = Duration::from_secs(30);
        eventually("appends to go on", deadline, || async { acknowledged.lock().len() > before + 100 }).await;
        world.postgres.kill().await.unwrap();
        world.postgres.start_again().await.unwrap();
        eprintln!("round {round}: {} acknowledged", acknowledged.lock().len());
    }
    let before = acknowledged.lock().len();
    eventually("appends after the last crash", Duration::from_secs(30), || async {
        acknowledged.lock().len() > before + 100
    })
    .await;
    *stop.lock() = true;
    for writer in writers {
        writer.await.unwrap();
    }

    let log = world.log().await;
    assert_gapless(&log);
    let stored: Vec<Uuid> = log.iter().map(|event| event.aggregate_id).collect();
    let distinct: HashSet<Uuid> = stored.iter().copied().collect();
    assert_eq!(stored.len(), distinct.len(), "an append is there twice");
    let lost: Vec<_> = acknowledged.lock().difference(&distinct).copied().collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(distinct.is_subset(&asked.lock()), "something is there that nobody asked for");
}
