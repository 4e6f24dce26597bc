//! A file that cannot be used is put aside, and everything is there again.

use std::path::Path;

use projections::{BookingHistory, MyPage};

use crate::world::{World, catch_up};

async fn histories(world: &World, path: &Path) -> Vec<BookingHistory> {
    let (mypage, writer) = MyPage::open(path).await.unwrap();
    catch_up(&world.journal, writer).await;
    mypage.histories(None, 200, None).await.unwrap()
}

#[tokio::test]
async fn a_file_of_no_use_is_put_aside_and_made_again() {
    let mut world = World::new(101).await;
    world.history(2).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let aside = dir.path().join("mypage.db.aside");
    let expected = histories(&world, &path).await;
    assert!(expected.len() > 10);
    assert_eq!(histories(&world, &path).await, expected);
    assert!(!aside.exists(), "a good file was put aside");

    let good = std::fs::read(&path).unwrap();
    let no_database = b"by no means a database".repeat(1_000);
    let cut = good[..good.len() / 2].to_vec();
    let mut scribbled = good.clone();
    scribbled[5_000..9_000].fill(0x5a);
    for spoilt in [no_database, cut, scribbled] {
        std::fs::write(&path, &spoilt).unwrap();
        assert_eq!(histories(&world, &path).await, expected);
        assert_eq!(std::fs::read(&aside).unwrap(), spoilt, "it was not put aside as it was");
        std::fs::remove_file(&aside).unwrap();
    }
}

#[tokio::test]
async fn a_file_of_another_version_or_program_is_put_aside() {
    let mut world = World::new(103).await;
    world.history(1).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let aside = dir.path().join("mypage.db.aside");
    let expected = histories(&world, &path).await;
    for sql in ["PRAGMA user_version = 999", "PRAGMA application_id = 5"] {
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        assert_eq!(histories(&world, &path).await, expected);
        assert!(aside.exists());
        std::fs::remove_file(&aside).unwrap();
    }
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    // A directory of that name: whatever it is, it is not ours to move.
    let path = dir.path().join("mypage.db");
    std::fs::create_dir(&path).unwrap();
    assert!(MyPage::open(&path).await.is_err());
    assert!(path.is_dir());
}
