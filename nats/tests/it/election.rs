//! One relay publishes, and another when it is gone.

use journal::Position;
use nats::RelayState;
use sqlx::Connection as _;

use crate::support::World;

#[tokio::test]
async fn when_the_first_is_gone_the_second_goes_on() {
    let world = World::start().await;
    let mut first = world.relay().await;
    world.append(10).await;
    first.reached(Position(10)).await;
    let mut second = world.relay().await;
    assert_eq!(second.status.borrow().state, RelayState::Standby);
    // As if its process had been killed: nothing is given up in an orderly way.
    first.task.abort();
    assert!(first.task.await.unwrap_err().is_cancelled());
    world.append(10).await;
    second.reached(Position(20)).await;
    world.assert_mirrored().await;
    second.stop().await;
}

#[tokio::test]
async fn a_lease_that_is_lost_ends_publishing_and_is_stood_for_again() {
    let world = World::start().await;
    let mut relay = world.relay().await;
    world.append(10).await;
    relay.reached(Position(10)).await;
    let office = world.take_the_office().await;
    relay.state("it to stand by", |state| *state == RelayState::Standby).await;
    world.append(10).await;
    office.close().await.unwrap();
    relay.reached(Position(20)).await;
    world.assert_mirrored().await;
    relay.stop().await;
}

#[tokio::test]
async fn stopping_frees_the_office_at_once() {
    let world = World::start().await;
    let mut first = world.relay().await;
    first.state("it to be elected", |state| *state == RelayState::Live).await;
    let mut second = world.relay().await;
    first.stop().await;
    second.state("it to be elected", |state| *state == RelayState::Live).await;
    second.stop().await;
}
