//! Whom we connect to.

use nats::{ConnectError, RelayState, connect};
use stack::Nats;

use crate::support::World;

#[tokio::test]
async fn a_wrong_password_and_a_wrong_url_are_said() {
    let nats = Nats::temp().await.unwrap();
    let refused = connect(&format!("nats://relay:wrong@127.0.0.1:{}", nats.port()), "test").await;
    assert!(matches!(refused, Err(ConnectError::Refused(_))), "{refused:?}");
    let refused = connect("not a url", "test").await;
    assert!(matches!(refused, Err(ConnectError::Url(_))), "{refused:?}");
}

#[tokio::test]
async fn a_relay_that_starts_before_nats_waits_for_it_and_the_journal_does_not() {
    let world = World::start().await;
    world.nats.kill().await.unwrap();
    let mut relay = world.relay().await;
    relay.state("the relay to say so", |state| *state == RelayState::Disconnected).await;
    world.append(10).await;
    world.nats.start_again().await.unwrap();
    relay.reached(world.journal.position()).await;
    world.assert_mirrored().await;
    relay.stop().await;
}
