//! What is of another log stops a projection, before it does harm, and says where. Single events: parking.rs.

use journal::Position;
use projections::{Error, MyPage, TicketCounts};

use crate::world::{Running, World, catch_up, open, runner};

async fn run_counts(world: &World) -> Error {
    // A journal that has nothing in memory, so that it reads what we did to the rows.
    let journal = open(&world.postgres).await;
    let projection = TicketCounts::open(journal.pool().clone()).await.unwrap();
    let source = Box::new(journal.follow(Position(0)));
    Running::start(runner(projection, source, journal.pool().clone())).error().await
}

async fn change(world: &World, sql: &str) {
    assert_eq!(sqlx::query(sql).execute(world.journal.pool()).await.unwrap().rows_affected(), 1, "{sql}");
}

#[tokio::test]
async fn a_checkpoint_ahead_of_the_log_is_an_error_that_says_what_to_do() {
    let world = World::new(41).await;
    let end = world.register(0, 3).await;
    catch_up(&world.journal, TicketCounts::open(world.journal.pool().clone()).await.unwrap()).await;
    change(&world, "UPDATE checkpoints SET position = 500 WHERE name = 'ticket-counts.v1'").await;
    let error = run_counts(&world).await;
    let said = error.to_string();
    assert!(matches!(error, Error::CheckpointAhead { checkpoint: Position(500), .. }), "{said}");
    for part in ["500", &end.to_string(), "ticket_counts_v1", "delete"] {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}

#[tokio::test]
async fn a_file_of_another_log_is_an_error_whichever_is_longer() {
    let (mut long, mut short) = (World::new(43).await, World::new(47).await);
    long.history(2).await;
    short.history(1).await;
    let dir = tempfile::tempdir().unwrap();
    let (of_long, of_short) = (dir.path().join("long.db"), dir.path().join("short.db"));
    catch_up(&long.journal, MyPage::open(&of_long).await.unwrap().1).await;
    catch_up(&short.journal, MyPage::open(&of_short).await.unwrap().1).await;

    let feed = async |world: &World, path: &std::path::Path| {
        let (_mypage, writer) = MyPage::open(path).await.unwrap();
        let source = Box::new(world.journal.follow(Position(0)));
        Running::start(runner(writer, source, world.journal.pool().clone())).error().await
    };
    let (long_end, short_end) = (long.journal.position(), short.journal.position());
    assert!(long_end > short_end);

    let error = feed(&short, &of_long).await;
    assert!(matches!(error, Error::CheckpointAhead { .. }), "{error}");
    let error_other = feed(&long, &of_short).await;
    assert!(matches!(error_other, Error::AnotherLog { .. }), "{error_other}");
    for said in [error.to_string(), error_other.to_string()] {
        for part in [&long_end.to_string(), &short_end.to_string(), "delete the file"] {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
    }
}
