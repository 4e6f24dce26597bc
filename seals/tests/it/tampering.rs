//! Somebody with every right on the database changes what was sealed. It is found, or nothing more is signed, or both.

use journal::Position;
use seals::{BREACHES_MAX, Checkpoint, KeyFile, SealCheck, SealError, SealVerdict, Sealer};

use crate::support::{OFTEN, Running, World, assert_sound, open, verified};

/// Events of the log that is tampered with.
const EVENTS: usize = 700;

/// A sealed log, its sealer stopped, and its newest checkpoint.
async fn sealed() -> (World, seals::Signed, Vec<seals::VerifierKey>) {
    let world = World::start().await;
    let running = world.seal().await;
    world.append(EVENTS).await;
    let signed = running.sealed(Position(EVENTS as u64)).await;
    let keys = running.keys.clone();
    running.stop().await;
    assert_sound(&world.check(&[&signed.note], &keys).await);
    (world, signed, keys)
}

/// What is said of the first breach.
fn said(verdict: &SealVerdict) -> String {
    let breach = verdict.breaches.first().expect("a breach");
    let position = breach.position.map(|position| format!(" at {position}")).unwrap_or_default();
    format!("{}{position}: expected {}, found {}", breach.what, breach.expected, breach.found)
}

/// The events that are named.
fn positions(verdict: &SealVerdict) -> impl Iterator<Item = Position> {
    verdict.breaches.iter().filter_map(|breach| breach.position)
}

const CHANGE: &str =
    "UPDATE events SET payload = replace(payload::text, '\"qty\":1', '\"qty\":2')::json WHERE position = 300";

#[tokio::test]
async fn a_changed_row_is_found_by_its_position() {
    let (world, signed, keys) = sealed().await;
    for change in [
        CHANGE,
        "UPDATE events SET metadata = (metadata::text || ' ')::json WHERE position = 300",
        "UPDATE events SET recorded_at = recorded_at + interval '1 microsecond' WHERE position = 300",
        "UPDATE events SET event_version = '1.1' WHERE position = 300",
    ] {
        world.tamper("CREATE TABLE kept AS SELECT * FROM events WHERE position = 300").await;
        world.tamper(change).await;
        let verdict = world.check(&[&signed.note], &keys).await;
        assert_eq!(positions(&verdict).collect::<Vec<_>>(), [Position(300)], "{change}: {:?}", verdict.breaches);
        assert!(verdict.breaches.iter().any(|breach| breach.what.contains("kept")), "{:?}", verdict.breaches);
        world.tamper("DELETE FROM events WHERE position = 300").await;
        world.tamper("INSERT INTO events SELECT * FROM kept").await;
        sqlx::query("DROP TABLE kept").execute(world.journal.pool()).await.unwrap();
        assert_sound(&world.check(&[&signed.note], &keys).await);
    }
}

#[tokio::test]
async fn a_row_that_was_removed_or_put_in_is_found() {
    let (world, signed, keys) = sealed().await;
    let mut leaves = world.leaves().await;
    let gone = leaves.remove(99);
    let check = async |leaves: &[seals::Hash]| {
        let mut connection = world.connection().await;
        let mut check = SealCheck::begin(&mut connection).await.unwrap();
        check.also("kept", &signed.note, &keys);
        check.feed(&mut connection, leaves).await.unwrap();
        check.finish(&mut connection).await.unwrap()
    };
    let verdict = check(&leaves).await;
    assert_eq!(positions(&verdict).next(), Some(Position(100)), "{:?}", verdict.breaches);
    assert!(verdict.breaches_total > 400, "every event behind it is at another place");
    assert_eq!(verdict.breaches.len(), BREACHES_MAX);
    leaves.insert(99, gone);
    leaves.insert(99, gone);
    assert!(!check(&leaves).await.is_sound());
    leaves.remove(99);
    assert_sound(&check(&leaves).await);
    leaves.swap(10, 11);
    let verdict = check(&leaves).await;
    assert_eq!(positions(&verdict).collect::<Vec<_>>(), [Position(11), Position(12)]);
    leaves.truncate(650);
    leaves.swap(10, 11);
    let verdict = check(&leaves).await;
    assert!(verdict.breaches.iter().any(|breach| breach.found == "a log of 650"), "{:?}", verdict.breaches);
}

#[tokio::test]
async fn changed_tiles_and_checkpoints_are_found() {
    let (world, signed, keys) = sealed().await;
    for (change, named) in [
        (
            "UPDATE seal_tiles SET hashes = overlay(hashes placing '\\x0001020304'::bytea from 33) WHERE level = 0 AND nth = 1",
            "the event at 258",
        ),
        ("DELETE FROM seal_tiles WHERE level = 1", "tile 0 of level 1"),
        (
            "UPDATE seal_checkpoints SET size = size - 1 WHERE number = 1 + (SELECT max(number) FROM seal_checkpoints) / 2",
            "checkpoint",
        ),
        ("UPDATE seal_checkpoints SET note = replace(note, '700', '699') WHERE size = 700", "checkpoint"),
        ("DELETE FROM seal_checkpoints WHERE number = 1", "checkpoint 1"),
    ] {
        let backup = "CREATE TABLE IF NOT EXISTS kept_tiles AS TABLE seal_tiles";
        sqlx::query(backup).execute(world.journal.pool()).await.unwrap();
        let backup = "CREATE TABLE IF NOT EXISTS kept_checkpoints AS TABLE seal_checkpoints";
        sqlx::query(backup).execute(world.journal.pool()).await.unwrap();
        world.tamper(change).await;
        let verdict = world.check(&[&signed.note], &keys).await;
        assert!(said(&verdict).starts_with(named), "{change}: {}", said(&verdict));
        for table in ["tiles", "checkpoints"] {
            world.tamper(&format!("DELETE FROM seal_{table}")).await;
            world.tamper(&format!("INSERT INTO seal_{table} SELECT * FROM kept_{table}")).await;
        }
        assert_sound(&world.check(&[&signed.note], &keys).await);
    }
}

#[tokio::test]
async fn a_rewritten_history_with_new_hashes_and_signatures_is_found_by_a_checkpoint_that_was_kept_outside() {
    let (world, kept, keys) = sealed().await;
    world.tamper(CHANGE).await;
    // Whoever did it has the database and the file of the keys, and seals everything anew.
    for table in ["seal_tiles", "seal_checkpoints"] {
        world.tamper(&format!("DELETE FROM {table}")).await;
    }
    world.tamper("UPDATE checkpoints SET position = 0 WHERE name = 'seals'").await;
    std::fs::remove_file(world.key_file().with_extension("checkpoint")).unwrap();
    // In a process that does not remember the log as it was.
    let journal = open(&world.postgres).await;
    let running = Running::of(Sealer::open(journal, world.key_file()).await.unwrap().every(OFTEN));
    let forged = running.sealed(Position(EVENTS as u64)).await;
    verified(&forged, &keys);

    assert_sound(&world.check(&[&forged.note], &keys).await);
    let checkpoint = |note: &str| Checkpoint::verify(note, &keys).unwrap();
    running.log.goes_on_from(&checkpoint(&forged.note)).await.unwrap();
    let other = running.log.goes_on_from(&checkpoint(&kept.note)).await.unwrap_err();
    assert!(matches!(other, SealError::OtherRoot { size, .. } if size == kept.size), "{other}");
    running.stop().await;
    let verdict = world.check(&[&kept.note], &keys).await;
    assert_eq!(verdict.breaches_total, 1);
    assert!(said(&verdict).starts_with("the checkpoint in kept"), "{}", said(&verdict));
    assert_eq!(verdict.breaches[0].size, Some(kept.size));
    // A checkpoint that the forger made up is none.
    let other = KeyFile::new(world.dir.path().join("other.key")).rotate("boxoffice/x").unwrap();
    let made_up = Checkpoint { origin: "boxoffice/x".to_owned(), size: 1, root: kept.root }.sign(&other).unwrap();
    let verdict = world.check(&[&made_up], &keys).await;
    assert!(said(&verdict).contains("none of the known keys"), "{}", said(&verdict));
}

/// Starts the sealer again; why it is halted.
async fn halted(world: &World) -> String {
    let mut running = Running::of(world.sealer().await);
    let why = running.halted().await;
    let before = running.log.newest().await.unwrap();
    world.append(3).await;
    assert_eq!(running.log.newest().await.unwrap(), before, "nothing is signed any more");
    running.stop().await;
    why
}

#[tokio::test]
async fn nothing_is_signed_over_a_tree_that_contradicts_what_was_signed() {
    for (change, named) in [
        (
            "UPDATE seal_tiles SET hashes = overlay(hashes placing '\\x0001020304'::bytea from 33) WHERE level = 0 AND nth = 2",
            "root",
        ),
        ("DELETE FROM seal_tiles WHERE level = 1", "tile 0 of level 1 is missing"),
        ("UPDATE seal_checkpoints SET root = sha256('x') WHERE size = 700", "not to be relied on"),
        ("DELETE FROM seal_keys", "none of the known keys"),
        // The end of the log, which is looked at before going on.
        ("UPDATE events SET metadata = (metadata::text || ' ')::json WHERE position = 690", "position 690"),
        ("UPDATE journal_head SET position = 600", "the log ends at position 600"),
    ] {
        let (world, _, _) = sealed().await;
        world.tamper(change).await;
        if named.starts_with("the log ends") {
            let mut running = Running::of(world.sealer().await);
            assert!(running.halted().await.contains(named));
            running.stop().await;
            continue;
        }
        let why = halted(&world).await;
        assert!(why.contains(named), "{change}: {why}");
        assert!(why.contains("boxoffice audit verify"), "what to do: {why}");
    }
}

#[tokio::test]
async fn a_database_that_was_restored_from_an_older_state_is_not_signed_over() {
    let world = World::start().await;
    let running = world.seal().await;
    world.append(100).await;
    let older = running.sealed(Position(100)).await;
    world.append(100).await;
    running.sealed(Position(200)).await;
    running.stop().await;
    // As a backup from then would have it.
    world.tamper(&format!("DELETE FROM seal_checkpoints WHERE number > {}", older.number)).await;
    world.tamper("UPDATE checkpoints SET position = 100 WHERE name = 'seals'").await;
    world.tamper("UPDATE seal_tiles SET hashes = substr(hashes, 1, 3200) WHERE level = 0").await;
    let mut running = Running::of(world.sealer().await);
    let why = running.halted().await;
    assert!(why.contains("a tree of 200 was signed"), "{why}");
    running.stop().await;
    // Whoever restored it says so by moving the file away.
    std::fs::remove_file(world.key_file().with_extension("checkpoint")).unwrap();
    let running = world.seal().await;
    running.sealed(Position(200)).await;
    running.stop().await;
}
