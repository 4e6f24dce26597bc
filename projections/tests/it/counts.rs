//! Ticket counts are what the aggregates say, however the log is delivered and whoever reads meanwhile.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use aggregates::ConcertCommand;
use futures::{FutureExt as _, future::BoxFuture};
use journal::{EventSource, Position, ReadError, RecordedEvent};
use projections::{
    Projection, Runner, TicketCounts,
    rebuild::{Job, journal, run_ticket_counts},
    ticket_counts::StoredCounts,
};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use stack::testing::eventually;
use tokio_util::sync::CancellationToken;

use crate::{
    sources::{Holey, Repeating, Small},
    world::{DEADLINE, Running, World, assert_counts, catch_up, concert, runner, stored},
};

async fn counts(world: &World) -> TicketCounts {
    TicketCounts::open(world.journal.pool().clone()).await.unwrap()
}

#[tokio::test]
async fn counts_follow_the_log() {
    let mut world = World::new(7).await;
    world.history(8).await;
    catch_up(&world.journal, counts(&world).await).await;
    assert_counts(&world).await;
    let sold: u32 = stored(&world.journal).await.values().map(|(_, counts)| counts.sold).sum();
    assert!(sold > 0, "the history sells nothing, so it shows nothing");

    world.one::<aggregates::Concert>(concert(1).0, ConcertCommand::Cancel).await;
    catch_up(&world.journal, counts(&world).await).await;
    assert_counts(&world).await;
    let canceled: Vec<bool> = sqlx::query_scalar("SELECT canceled FROM ticket_counts_v1 ORDER BY registered_position")
        .fetch_all(world.journal.pool())
        .await
        .unwrap();
    assert_eq!(canceled, [false, true, false]);
}

#[tokio::test]
async fn events_delivered_twice_have_no_second_effect() {
    let mut world = World::new(11).await;
    world.history(5).await;
    let projection = counts(&world).await;
    let progress = projection.progress().clone();
    let source = Repeating { source: world.journal.follow(Position(0)), back: 9, again: false };
    let running = Running::start(runner(projection, Box::new(source), world.journal.pool().clone()));
    assert!(progress.reached(world.journal.position(), DEADLINE).await);
    running.stop().await;
    assert_counts(&world).await;
}

#[tokio::test]
async fn an_event_that_is_left_out_is_asked_for_again() {
    let mut world = World::new(13).await;
    world.history(3).await;
    let projection = counts(&world).await;
    let progress = projection.progress().clone();
    let source = Holey(world.journal.follow(Position(0)), 0);
    let running = Running::start(runner(projection, Box::new(source), world.journal.pool().clone()));
    assert!(progress.reached(world.journal.position(), DEADLINE).await);
    running.stop().await;
    assert_counts(&world).await;
}

#[tokio::test]
async fn what_comes_within_the_interval_is_one_batch_and_the_first_does_not_wait() {
    let mut world = World::new(19).await;
    world.history(3).await;
    let head = world.journal.position();
    let projection = counts(&world).await;
    let mut changes = projection.progress().changes();
    let source = Box::new(Small(world.journal.follow(Position(0)), 1));
    let runner = Runner::new(projection, source, world.journal.pool().clone()).interval(Duration::from_secs(2));
    let running = Running::start(runner);
    let mut seen = Vec::new();
    while seen.last() != Some(&head) {
        changes.changed().await.unwrap();
        seen.push(*changes.borrow_and_update());
    }
    running.stop().await;
    seen.retain(|at| *at > Position(0));
    assert!(head > Position(20) && seen.len() <= 3 && seen[0] == Position(1), "{seen:?} of {head}");
    assert_counts(&world).await;
}

#[tokio::test]
async fn what_stands_before_an_error_is_applied() {
    /// Hands out one event after the other, and then breaks, for ever.
    struct Breaking(Small, usize);

    impl EventSource for Breaking {
        fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
            async move {
                let Self(source, left) = self;
                *left = left.checked_sub(1).ok_or(ReadError::Missing(source.position().next()))?;
                source.next(max).await
            }
            .boxed()
        }

        fn seek(&mut self, position: Position) {
            self.0.seek(position);
        }

        fn position(&self) -> Position {
            self.0.position()
        }
    }

    let mut world = World::new(23).await;
    world.history(1).await;
    let projection = counts(&world).await;
    let progress = projection.progress().clone();
    let source = Box::new(Breaking(Small(world.journal.follow(Position(0)), 1), 5));
    let runner = Runner::new(projection, source, world.journal.pool().clone()).interval(DEADLINE);
    Running::start(runner).error().await;
    assert_eq!(progress.position(), Position(5));
}

#[tokio::test]
async fn two_runners_at_once_come_to_the_same() {
    let mut world = World::new(17).await;
    world.history(5).await;
    let mut running = Vec::new();
    let mut waiting = Vec::new();
    for size in [5, 7] {
        let projection = counts(&world).await;
        waiting.push(projection.progress().clone());
        let source = Box::new(Small(world.journal.follow(Position(0)), size));
        running.push(Running::start(runner(projection, source, world.journal.pool().clone())));
    }
    // While both are at it, more happens.
    world.request(100_000, 0, 1, 1).await;
    world.saga().await;
    // The one that loses every race still learns how far the other has come once there is something to lose.
    eventually("both runners to have caught up", DEADLINE, || async {
        waiting.iter().any(|progress| progress.position() >= world.journal.position())
    })
    .await;
    for running in running {
        running.stop().await;
    }
    assert_counts(&world).await;
}

#[tokio::test]
async fn a_reader_sees_each_concert_as_it_was_at_some_position_and_never_oversold() {
    /// Hands out the next events once the reader has looked at what the last ones led to.
    struct Looked(Small, Arc<AtomicU64>, u64);

    impl EventSource for Looked {
        fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
            async move {
                // Two, because one may have begun before.
                let Self(source, looks, before) = self;
                eventually("the reader to look", DEADLINE, || async { looks.load(Relaxed) >= *before + 2 }).await;
                *before = looks.load(Relaxed);
                source.next(max).await
            }
            .boxed()
        }

        fn seek(&mut self, position: Position) {
            self.0.seek(position);
        }

        fn position(&self) -> Position {
            self.0.position()
        }
    }

    async fn watch(
        pool: PgPool,
        looks: Arc<AtomicU64>,
        stop: CancellationToken,
    ) -> HashSet<(uuid::Uuid, i64, i32, i32, i32)> {
        let mut seen = HashSet::new();
        while !stop.is_cancelled() {
            let rows: Vec<(uuid::Uuid, i64, i32, i32, i32)> =
                sqlx::query_as("SELECT concert_id, position, capacity, held, sold FROM ticket_counts_v1")
                    .fetch_all(&pool)
                    .await
                    .unwrap();
            seen.extend(rows);
            looks.fetch_add(1, Relaxed);
        }
        seen
    }
    let mut world = World::new(19).await;
    world.history(6).await;
    let projection = counts(&world).await;
    let progress = projection.progress().clone();
    let stop = CancellationToken::new();
    let looks = Arc::<AtomicU64>::default();
    let reader = tokio::spawn(watch(world.journal.pool().clone(), Arc::clone(&looks), stop.clone()));
    let source = Box::new(Looked(Small(world.journal.follow(Position(0)), 4), looks, 0));
    let running = Running::start(runner(projection, source, world.journal.pool().clone()));
    assert!(progress.reached(world.journal.position(), DEADLINE).await);
    running.stop().await;
    stop.cancel();
    let seen = reader.await.unwrap();
    assert!(seen.len() > 20, "the reader saw only {} versions", seen.len());
    let expected = world.expected().await;
    for (id, position, capacity, held, sold) in seen {
        assert!(held >= 0 && sold >= 0 && held + sold <= capacity, "oversold at {position}");
        let counts = expected[&(id.into(), Position::from_sql(position))];
        let numbers = [counts.capacity, counts.held, counts.sold].map(u32::cast_signed);
        assert_eq!([capacity, held, sold], numbers, "at {position}");
    }
}

/// Tickets held of the first concert, as one connection sees them.
async fn held(connection: &mut PgConnection) -> u32 {
    let mut stored = StoredCounts::open(connection).await.unwrap();
    let rows = stored.next().await.unwrap();
    assert!(stored.next().await.unwrap().is_empty());
    let row = rows.into_iter().map(Result::unwrap).find(|row| row.id == concert(1)).unwrap();
    row.counts.held
}

#[tokio::test]
async fn who_compares_sees_the_copy_of_its_moment_whatever_is_switched_meanwhile() {
    let mut world = World::new(17).await;
    world.history(4).await;
    catch_up(&world.journal, counts(&world).await).await;
    let pool = world.journal.pool();
    let (_, right) = stored(&world.journal).await[&concert(1)];
    let wrong = "UPDATE ticket_counts_v1 SET held = held + 1, capacity = capacity + 1 WHERE concert_id = $1";
    sqlx::query(wrong).bind(concert(1).0).execute(pool).await.unwrap();

    let mut connection = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.unwrap();
    // A transaction's moment is that of its first statement.
    connection.execute("SELECT position FROM journal_head").await.unwrap();
    let rebuilt = run_ticket_counts(Job::new(pool.clone(), journal(pool.clone()))).await.unwrap();
    assert!(rebuilt.switched && rebuilt.differences == 1, "{rebuilt:?}");
    assert_eq!(held(&mut connection).await, right.held + 1);
    connection.execute("COMMIT").await.unwrap();
    assert_eq!(held(&mut connection).await, right.held);
}
