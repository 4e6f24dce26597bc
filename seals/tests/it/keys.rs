//! Keys: made once, changed, lost.

use journal::Position;
use seals::{Checkpoint, KeyFile, SealError, Sealer};
use stack::testing::eventually;

use crate::support::{SOON, World, assert_sound, verified};

#[tokio::test]
async fn a_rotation_is_taken_up_while_it_runs_and_what_was_signed_before_stays_valid() {
    let world = World::start().await;
    let running = world.seal().await;
    world.append(10).await;
    let before = running.sealed(Position(10)).await;
    let old = running.keys.clone();

    let file = KeyFile::new(world.key_file());
    let rotated = file.rotate(running.log.origin()).unwrap();
    let new = vec![rotated[0].verifier().clone()];
    world.append(10).await;
    let both = running.sealed(Position(20)).await;
    // Whoever knows only one of them can check.
    verified(&both, &old);
    verified(&both, &new);

    file.retire(running.log.origin()).unwrap();
    world.append(10).await;
    let after = running.sealed(Position(30)).await;
    verified(&after, &new);
    assert!(Checkpoint::verify(&after.note, &old).is_err());
    verified(&before, &old);
    let known = running.log.keys().await.unwrap();
    let since: Vec<_> = known.iter().map(|known| (known.key.clone(), known.since_size)).collect();
    assert_eq!(since, [(old[0].clone(), 0), (new[0].clone(), 20)]);
    let verdict = world.check(&[&before.note, &after.note], &[]).await;
    assert_sound(&verdict);
    assert_eq!(verdict.keys, 2);
    running.stop().await;
}

#[tokio::test]
async fn a_key_that_is_lost_is_made_anew_and_signs_at_once() {
    let world = World::start().await;
    let running = world.seal().await;
    world.append(10).await;
    let before = running.sealed(Position(10)).await;
    let old = running.keys.clone();
    running.stop().await;
    std::fs::remove_file(world.key_file()).unwrap();

    let running = world.seal().await;
    assert_ne!(running.keys, old);
    // Without anything new in the log.
    eventually("the new key to have signed", SOON, || async {
        let newest = running.log.newest().await.unwrap().unwrap();
        newest.number == before.number + 1
    })
    .await;
    let after = running.log.newest().await.unwrap().unwrap();
    assert_eq!((after.size, after.root), (before.size, before.root));
    verified(&after, &running.keys);
    verified(&before, &old);
    assert_eq!(running.log.keys().await.unwrap().len(), 2);
    assert_sound(&world.check(&[&before.note], &old).await);
    running.stop().await;
}

#[tokio::test]
async fn a_key_of_another_log_is_not_used() {
    let (world, other) = (World::start().await, World::start().await);
    world.sealer().await;
    let refused = Sealer::open(other.journal.clone(), world.key_file()).await.err().unwrap();
    assert!(matches!(refused, SealError::ForeignKey { .. }), "{refused}");
    std::fs::write(world.key_file(), "not a key").unwrap();
    let refused = Sealer::open(world.journal.clone(), world.key_file()).await.err().unwrap();
    assert!(matches!(refused, SealError::KeyFile { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(world.key_file()).unwrap(), "not a key");
}
