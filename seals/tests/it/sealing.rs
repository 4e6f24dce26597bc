//! The tree grows with the log, is signed, and survives whatever happens to the one that signs.

use journal::{Position, last_position};
use seals::{CHECKPOINT, SealState, TILE_WIDTH, TileId, Tree, verify_consistency, verify_inclusion};
use tokio_util::sync::CancellationToken;

use crate::support::{Running, World, append, assert_sound, open, sealed, verified};

/// A log with tiles of three levels.
const EVENTS_MANY: usize = 100_000;
/// How often a sealer is killed.
const KILLS: usize = 10;
/// Events that are appended before it is, and while it is.
const EVENTS_BETWEEN_KILLS: usize = 600;

/// The tree of these leaves, made anew.
fn tree(leaves: &[seals::Hash]) -> Tree {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(*leaf, |_, _| ());
    }
    tree
}

#[tokio::test]
async fn an_empty_log_is_signed_too_and_every_event_soon_after() {
    let world = World::start().await;
    let running = world.seal().await;
    let empty = running.sealed(Position(0)).await;
    assert_eq!((empty.number, verified(&empty, &running.keys).root), (1, seals::Hash::of_nothing()));
    world.append(3).await;
    let signed = running.sealed(Position(3)).await;
    let leaves = world.leaves().await;
    assert_eq!(verified(&signed, &running.keys).root, tree(&leaves).root());
    assert_eq!(running.log.root_at(3).await.unwrap(), signed.root);
    assert!(running.log.origin().starts_with("boxoffice/"));
    let follows = journal::checkpoint(world.journal.pool(), CHECKPOINT).await.unwrap();
    assert_eq!(follows, Position(signed.size));
    running.stop().await;
}

#[tokio::test]
async fn a_hundred_thousand_events_are_sealed_and_proved() {
    let world = World::start().await;
    let running = world.seal().await;
    world.append(EVENTS_MANY).await;
    let signed = running.sealed(Position(EVENTS_MANY as u64)).await;
    let verdict = world.check(&[&signed.note], &running.keys).await;
    assert_sound(&verdict);
    assert_eq!((verdict.leaves, verdict.outside), (EVENTS_MANY as u64, 1));
    assert_eq!(verdict.checkpoints, signed.number);
    // 390 full ones and a partial one, one above them and a partial one, and the topmost.
    assert_eq!(verdict.tiles, 391 + 2 + 1);
    let tile = running.log.tile(TileId { level: 1, index: 0 }).await.unwrap().unwrap();
    assert_eq!(tile.len(), TILE_WIDTH);

    let leaves = world.leaves().await;
    let some: Vec<u64> = (0..signed.size).step_by(9_973).chain([signed.size - 1]).collect();
    let proofs = running.log.inclusion(&some, signed.size).await.unwrap();
    for (index, proof) in some.iter().zip(&proofs) {
        let leaf = &leaves[usize::try_from(*index).unwrap()];
        verify_inclusion(*index, signed.size, leaf, proof, &signed.root).unwrap();
    }
    for older in running.log.checkpoints_after(0, 50).await.unwrap() {
        let proof = running.log.consistency(older.size, signed.size).await.unwrap();
        verify_consistency((older.size, &older.root), (signed.size, &signed.root), &proof).unwrap();
    }
    running.stop().await;
}

#[tokio::test]
async fn killed_at_any_moment_the_next_goes_on_where_it_was() {
    let world = World::start().await;
    let mut last = 0;
    for nth in 0..KILLS {
        let running = world.seal().await;
        let mut status = running.status.clone();
        let appending = tokio::spawn({
            let journal = world.journal.clone();
            async move { append(&journal, EVENTS_BETWEEN_KILLS).await }
        });
        status.wait_for(|status| status.state == SealState::Sealing && status.size > last).await.unwrap();
        last = status.borrow().size;
        // At once, or while the next checkpoint is on its way.
        if nth % 2 == 0 {
            appending.await.unwrap();
            running.abort().await;
        } else {
            running.abort().await;
            appending.await.unwrap();
        }
    }
    let running = world.seal().await;
    running.sealed(world.journal.position()).await;
    let verdict = world.check(&[], &[]).await;
    assert_sound(&verdict);
    let events = (KILLS * EVENTS_BETWEEN_KILLS) as u64;
    assert_eq!((verdict.leaves, verdict.sealed), (events, events));
    running.stop().await;
}

#[tokio::test]
async fn told_to_stop_it_seals_what_was_appended_until_then() {
    let world = World::start().await;
    for nth in 1..=5_u64 {
        let running = world.seal().await;
        running.sealed(Position((nth - 1) * 100)).await;
        world.append(100).await;
        let log = running.log.clone();
        running.stop().await;
        assert_eq!(log.newest().await.unwrap().unwrap().size, nth * 100);
    }
    assert_sound(&world.check(&[], &[]).await);
}

#[tokio::test]
async fn two_at_once_sign_one_log_and_nothing_that_contradicts_it() {
    let world = World::start().await;
    let other = open(&world.postgres).await;
    let (mut first, mut second) = (world.sealer().await, world.sealer().await);
    let log = first.log().clone();
    let stop = CancellationToken::new();
    // Not elected, both of them: only what they write keeps them apart.
    let both = tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = first.seal() => panic!("the first is halted: {}", first.status().borrow().state),
                () = second.seal() => panic!("the second is halted: {}", second.status().borrow().state),
            }
        }
    });
    for _ in 0..10 {
        tokio::join!(world.append(400), append(&other, 400));
        // What one journal has seen can lack what the other appended just now.
        sealed(&log, last_position(world.journal.pool()).await.unwrap()).await;
    }
    stop.cancel();
    both.await.unwrap();
    let verdict = world.check(&[], &[]).await;
    assert_sound(&verdict);
    assert_eq!((verdict.sealed, verdict.keys), (8_000, 1));
    other.close().await;
}

#[tokio::test]
async fn one_is_elected_and_the_other_takes_over() {
    let world = World::start().await;
    let first = world.seal().await;
    first.sealed(Position(0)).await;
    let second = Running::of(world.sealer().await);
    world.append(5).await;
    first.sealed(Position(5)).await;
    assert_eq!(second.status.borrow().state, SealState::Standby);
    first.stop().await;
    world.append(5).await;
    second.sealed(Position(10)).await;
    assert_sound(&world.check(&[], &[]).await);
    second.stop().await;
}
