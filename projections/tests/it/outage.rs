//! A database that goes away comes back.

use aggregates::Concert;
use journal::Position;
use projections::{ConcertViews, Projection, Runner, TicketCounts};
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;

use crate::world::{DEADLINE, Running, World, assert_counts, concert};

#[tokio::test]
async fn a_runner_and_the_views_outlive_postgres() {
    let mut world = World::new(53).await;
    world.history(1).await;
    let pool = world.journal.pool().clone();
    let projection = TicketCounts::open(pool.clone()).await.unwrap();
    let progress = projection.progress().clone();
    let source = Box::new(world.journal.follow(Position(0)));
    let running = Running::start(Runner::new(projection, source, pool.clone()));
    let (views, stop) = (ConcertViews::open(pool).await.unwrap(), CancellationToken::new());
    let keeping_up = tokio::spawn(views.clone().run(Some(progress), stop.clone()));
    assert!(views.wait_for(world.journal.position(), DEADLINE).await);

    world.postgres.kill().await.unwrap();
    assert!(views.get(concert(0)).await.unwrap().is_some(), "memory needs no database");
    world.postgres.start_again().await.unwrap();
    // A connection that was used a moment ago is found dead only by using it.
    let reads = async || world.journal.load::<Concert>(concert(50).0).await.is_ok();
    eventually("a connection that lives", DEADLINE, reads).await;

    let position = world.register(50, 10).await;
    assert!(views.wait_for(position, DEADLINE).await, "the views did not come back");
    assert!(views.get(concert(50)).await.unwrap().is_some());
    running.stop().await;
    stop.cancel();
    keeping_up.await.unwrap();
    assert_counts(&world).await;
}
