//! Checking in whatever portions the leaves come.

use journal::Position;
use seals::SealCheck;

use crate::support::{World, assert_sound};

#[tokio::test]
async fn the_portions_in_which_leaves_come_make_no_difference() {
    let world = World::start().await;
    let running = world.seal().await;
    for _ in 0..6 {
        world.append(250).await;
        running.sealed(world.journal.position()).await;
    }
    let signed = running.sealed(Position(1_500)).await;
    running.stop().await;
    // What came after the newest checkpoint is not sealed, and no breach.
    world.append(40).await;
    let leaves = world.leaves().await;
    let mut connection = world.connection().await;
    for portion in [1, 7, 256, 1_000, 10_000] {
        let mut check = SealCheck::begin(&mut connection).await.unwrap();
        check.also("kept", &signed.note, &keys(&world));
        for leaves in leaves.chunks(portion) {
            check.feed(&mut connection, leaves).await.unwrap();
        }
        let verdict = check.finish(&mut connection).await.unwrap();
        assert_sound(&verdict);
        assert_eq!((verdict.leaves, verdict.sealed, verdict.outside), (1_540, 1_500, 1), "by {portion}");
        assert_eq!((verdict.checkpoints, verdict.tiles), (signed.number, 6 + 1), "by {portion}");
    }
}

/// The keys in the world's file, which are those that signed.
fn keys(world: &World) -> Vec<seals::VerifierKey> {
    let keys = seals::KeyFile::new(world.key_file()).read().unwrap();
    keys.iter().map(|key| key.verifier().clone()).collect()
}
