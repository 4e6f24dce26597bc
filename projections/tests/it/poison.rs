//! What cannot be right stops a projection, before it does harm, and says where.

use journal::Position;
use projections::{Error, MyPage, Runner, TicketCounts};

use crate::world::{Running, World, catch_up, open};

async fn run_counts(world: &World) -> Error {
    // A journal that has nothing in memory, so that it reads what we did to the rows.
    let journal = open(&world.postgres).await;
    let projection = TicketCounts::open(journal.pool().clone()).await.unwrap();
    let source = Box::new(journal.follow(Position(0)));
    Running::start(Runner::new(projection, source, journal.pool().clone())).error().await
}

async fn change(world: &World, sql: &str) {
    assert_eq!(sqlx::query(sql).execute(world.journal.pool()).await.unwrap().rows_affected(), 1, "{sql}");
}

#[tokio::test]
async fn an_event_that_does_not_decode_stops_the_runner_right_before_it() {
    let mut world = World::new(31).await;
    world.history(1).await;
    change(&world, r#"UPDATE events SET payload = '{"TicketsHeld": {"qty": 1}}' WHERE position = 20"#).await;
    let error = run_counts(&world).await;
    let Error::Undecodable { position, aggregate_id, .. } = &error else { panic!("{error}") };
    assert_eq!(*position, Position(20));
    let said = error.to_string();
    assert!(said.contains("position 20") && said.contains(&aggregate_id.to_string()), "{said}");
    let at = journal::checkpoint(world.journal.pool(), "ticket-counts.v1").await.unwrap();
    assert_eq!(at, Position(19));
}

#[tokio::test]
async fn an_event_that_would_oversell_stops_the_runner_right_before_it() {
    let world = World::new(37).await;
    world.register(0, 3).await;
    let mut world = world;
    world.request(1, 0, 1, 2).await;
    world.saga().await;
    let sql = "UPDATE events SET payload = replace(payload::text, '\"qty\":2', '\"qty\":4')::json
               WHERE event_type = 'TicketsHeld'";
    change(&world, sql).await;
    let error = run_counts(&world).await;
    let Error::Impossible { position, .. } = error else { panic!("{error}") };
    let at = journal::checkpoint(world.journal.pool(), "ticket-counts.v1").await.unwrap();
    assert_eq!(at.next(), position);
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
        Running::start(Runner::new(writer, source, world.journal.pool().clone())).error().await
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
