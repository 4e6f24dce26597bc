//! How far the stream goes, asked with the rights of a reader.

use journal::Position;
use nats::{ExtentError, mirrored_position};
use stack::testing::eventually;

use crate::support::{SOON, World};

#[tokio::test]
async fn a_reader_can_tell_how_far_the_stream_goes() {
    let world = World::start().await;
    let reader = world.reader().await;
    let asked = mirrored_position(&reader).await;
    assert!(matches!(asked, Err(ExtentError::NoStream)), "{asked:?}");
    let relay = world.relay().await;
    world.append(3).await;
    let head = world.journal.position();
    assert_eq!(head, Position(3));
    eventually("the stream to have all", SOON, async || mirrored_position(&reader).await.is_ok_and(|at| at == head))
        .await;
    relay.stop().await;
}
