//! A database that goes away comes back.

use journal::Position;
use projections::{ConcertViews, Projection, Runner, TicketCounts};
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

    let position = world.register(50, 10).await;
    assert!(views.wait_for(position, DEADLINE).await, "the views did not come back");
    assert!(views.get(concert(50)).await.unwrap().is_some());
    running.stop().await;
    stop.cancel();
    keeping_up.await.unwrap();
    assert_counts(&world).await;
}
