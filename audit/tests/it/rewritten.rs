//! Somebody with every right on the database, on NATS and on the file of the keys rewrites the past, and makes everything anew
//! that shows it: only what was kept outside tells.

use audit::verify::{Check, Kept};
use nats::{CHECKPOINTS_STREAM, STREAM, connect};

use crate::world::{World, assert_found, assert_only, assert_passes, checked, size};

/// Of the sale: a booking, whose fan is the thirteenth.
const BOOKING: usize = 333;
const ITS_FAN: usize = 13;

fn kept(note: &str) -> Vec<Kept> {
    vec![Kept { name: "kept.txt".to_owned(), note: note.to_owned() }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_with_new_hashes_and_signatures_is_found_by_a_checkpoint_that_was_kept_outside() {
    let mut world = World::start().await;
    let sale = world.sell(size()).await;
    world.derive().await;
    let note = world.seal().await;
    let sealed: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    let report = world.verify_with(kept(&note)).await;
    assert_passes(&report);
    assert!(checked(&report, Check::Seals).notes[0].contains("1 kept outside"), "{report:?}");

    // Somebody's booking was always somebody else's, in every event of it.
    let (fan, other, booking) = (sale.fans[ITS_FAN], sale.fans[ITS_FAN + 1], sale.bookings[BOOKING]);
    world
        .sql(&format!(
            "UPDATE events SET payload = replace(payload::text, '{fan}', '{other}')::json
             WHERE payload::text LIKE '%{booking}%'"
        ))
        .await;
    let seals = "DELETE FROM seal_tiles; DELETE FROM seal_checkpoints;
                 UPDATE checkpoints SET position = 0 WHERE name = 'seals'";
    world.sql(seals).await;
    std::fs::remove_file(world.key_file().with_extension("checkpoint")).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _may_be_gone = std::fs::remove_file(format!("{}{suffix}", world.mypage.display()));
    }
    let context = async_nats::jetstream::new(connect(&world.nats.url(), "forger").await.unwrap());
    context.delete_stream(STREAM).await.unwrap();
    context.delete_stream(CHECKPOINTS_STREAM).await.unwrap();
    world.start_again().await;
    world.derive().await;

    assert_passes(&world.verify().await);
    let forged = world.seal().await;
    assert_passes(&world.verify_with(kept(&forged)).await);
    let report = world.verify_with(kept(&note)).await;
    assert_found(&report, Check::Seals, sealed, &["kept.txt", "the root", "was changed, removed or put in since"]);
    assert_only(&report, &[Check::Seals]);

    // Nor does it help to have no seals at all, or a log of another name.
    let tables = "DROP TABLE seal_tiles, seal_checkpoints, seal_keys, seal_log";
    world.sql(tables).await;
    let report = world.verify_with(kept(&note)).await;
    let told = checked(&report, Check::Seals).first_breaches.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(told.len() == 3 && told.iter().all(|told| told.contains("without any seals")), "{told:?}");
    assert_only(&report, &[Check::Seals]);
}
