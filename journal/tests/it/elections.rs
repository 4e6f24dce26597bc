//! Exactly one is elected, and another when it is gone.

use std::time::Duration;

use journal::elect;
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;

use crate::support::World;

#[tokio::test]
async fn one_is_elected_and_when_its_session_ends_the_next() {
    let world = World::start().await;
    let (options, stop) = (world.journal.connect_options().clone(), CancellationToken::new());
    let mut first = elect(&options, "relay", &stop).await.unwrap();
    let second = tokio::spawn({
        let (options, stop) = (options.clone(), stop.clone());
        async move { elect(&options, "relay", &stop).await }
    });
    // Another office is not contested.
    elect(&options, "saga", &stop).await.unwrap().release().await;
    assert!(!second.is_finished());

    let killed: bool = sqlx::query_scalar(
        "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted",
    )
    .fetch_one(world.journal.pool())
    .await
    .unwrap();
    assert!(killed);
    first.lost().await;
    let second = second.await.unwrap().unwrap();
    second.release().await;
    eventually("nobody to hold the office", Duration::from_secs(10), || async {
        let held: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
            .fetch_one(world.journal.pool())
            .await
            .unwrap();
        held == 0
    })
    .await;
    stop.cancel();
    assert!(elect(&options, "relay", &stop).await.is_some(), "a free office is taken even on the way out");
}
