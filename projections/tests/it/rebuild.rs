//! A projection is made anew beside the live copy, whatever goes on and whatever dies meanwhile, and comes out as a fold of
//! the log.

use std::{
    future::{Future, poll_fn},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use journal::{Journal, Position};
use projections::{
    BookingHistory, ConcertViews, Error, MyPage, Projection, TicketCounts, mypage,
    rebuild::{self, Job, Outcome},
    ticket_counts,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{DEADLINE, Running, World, assert_counts, catch_up, concert, open, runner};

/// Small enough that even a small log is many of them.
const SEGMENT: u64 = 40;
const SWITCH: u64 = 5;

fn job(journal: &Journal) -> Job {
    let pool = journal.pool().clone();
    Job { segment_events: SEGMENT, switch_events_max: SWITCH, ..Job::new(pool.clone(), rebuild::journal(pool)) }
}

fn job_from_source(journal: &Journal) -> Job {
    Job { log: rebuild::source(Box::new(journal.follow(Position(0)))), ..job(journal) }
}

async fn counts(world: &World) -> Outcome {
    rebuild::run_ticket_counts(job(&world.journal)).await.unwrap()
}

async fn live_counts(world: &World) {
    catch_up(&world.journal, TicketCounts::open(world.journal.pool().clone()).await.unwrap()).await;
}

async fn live_histories(world: &World, path: &Path) -> Vec<BookingHistory> {
    let (mypage, writer) = MyPage::open(path).await.unwrap();
    catch_up(&world.journal, writer).await;
    mypage.histories(None, 200, None).await.unwrap()
}

async fn scalar<T>(world: &World, sql: &str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(sql).fetch_one(world.journal.pool()).await.unwrap()
}

#[tokio::test]
async fn counts_that_were_changed_by_hand_are_as_the_log_says_and_the_difference_is_told() {
    let mut world = World::new(71).await;
    world.history(4).await;
    live_counts(&world).await;
    let same = counts(&world).await;
    assert_eq!((same.differences, same.generation, same.rows), (0, 2, 3));
    assert!(same.switched && same.position == world.journal.position(), "{same:?}");
    assert_counts(&world).await;

    let pool = world.journal.pool();
    let id = concert(1).0;
    sqlx::query("UPDATE ticket_counts_v1 SET held = held + 1, capacity = capacity + 9 WHERE concert_id = $1")
        .bind(id)
        .execute(pool)
        .await
        .unwrap();
    sqlx::query("DELETE FROM ticket_counts_v1 WHERE concert_id = $1").bind(concert(2).0).execute(pool).await.unwrap();

    let looked = rebuild::run_ticket_counts(Job { dry_run: true, ..job(&world.journal) }).await.unwrap();
    assert_eq!((looked.switched, looked.differences), (false, 2));
    assert_eq!(scalar::<i64>(&world, "SELECT count(*) FROM ticket_counts_v1").await, 2, "it was only looked");

    let put_right = rebuild::run_ticket_counts(job_from_source(&world.journal)).await.unwrap();
    assert!(put_right.switched, "{put_right:?}");
    assert_eq!(put_right.shown, looked.shown, "from a source as from the tables");
    let changed = put_right.shown.iter().find(|difference| difference.row.contains(&id.to_string())).unwrap();
    let fields: Vec<_> = changed.fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(fields, ["available", "capacity", "held"]);
    assert_counts(&world).await;

    // The live copies of before are there until they are dropped, and what follows is taken in as ever.
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'ticket_counts%'";
    assert_eq!(scalar::<i64>(&world, tables).await, 3);
    assert_eq!(ticket_counts::drop_old(pool).await.unwrap(), 2);
    assert_eq!(scalar::<i64>(&world, tables).await, 1);
    world.history_goes_on().await;
    live_counts(&world).await;
    assert_counts(&world).await;
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'ticket_counts_v1'";
    assert_eq!(scalar::<i64>(&world, indexes).await, 3);
}

#[tokio::test]
async fn histories_that_were_changed_by_hand_are_as_the_log_says_and_the_difference_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (path, fresh) = (dir.path().join("mypage.db"), dir.path().join("fresh.db"));
    let mut world = World::new(73).await;
    world.history(4).await;
    // Before the other way round: who is erased, and books again.
    world.register_user(3).await;
    world.one::<aggregates::User>(crate::world::user(3).0, aggregates::UserCommand::Erase).await;
    world.request(900, 0, 3, 1).await;
    world.saga().await;
    let expected = live_histories(&world, &path).await;
    assert!(expected.len() > 20);
    let same = rebuild::run_mypage(&path, job(&world.journal)).await.unwrap();
    assert_eq!((same.differences, same.shown.len(), same.switched), (0, 0, true), "{same:?}");
    assert_eq!(same.position, world.journal.position());
    assert_eq!(live_histories(&world, &path).await, expected);

    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("UPDATE histories SET status = 'BookingApproved' WHERE id = (SELECT min(id) FROM histories); DELETE FROM histories WHERE id = (SELECT max(id) FROM histories);").unwrap();
    let looked = rebuild::run_mypage(&path, Job { dry_run: true, ..job(&world.journal) }).await.unwrap();
    assert!(!looked.switched && looked.differences == 2, "{looked:?}");
    let tables = || {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'histories%'";
        file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(tables(), 2, "what was only looked at is gone");
    let put_right = rebuild::run_mypage(&path, job_from_source(&world.journal)).await.unwrap();
    assert_eq!(put_right.shown, looked.shown);
    assert_eq!(live_histories(&world, &path).await, expected);
    assert_eq!((tables(), mypage::drop_old(&path).await.unwrap(), tables()), (3, 2, 1));
    world.history_goes_on().await;
    assert_eq!(live_histories(&world, &path).await, live_histories(&world, &fresh).await);
}

/// Polls `work` so many times, and then drops it where it stands.
async fn cut_short<T>(work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut work = pin!(work);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Runs a rebuild again and again, cut short a little later each time, until one gets to its end; how many did not.
async fn with_cuts(run: impl AsyncFn() -> Result<Outcome, Error>) -> (u32, Outcome) {
    for cut in 1..2_000 {
        match cut_short(run(), 5 * cut).await {
            None => {}
            // The connection of the one before that was cut short, and its lease with it, may take a moment to end.
            Some(Err(Error::BeingRebuilt(_))) => tokio::task::yield_now().await,
            Some(done) => return (cut, done.unwrap()),
        }
    }
    panic!("2,000 cuts, and still not at the end");
}

#[tokio::test]
async fn a_rebuild_that_is_cut_short_anywhere_goes_on_and_comes_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let mut world = World::new(79).await;
    world.history(4).await;
    live_counts(&world).await;
    let expected = live_histories(&world, &path).await;
    for generation in 2..3 {
        let (cuts, outcome) = with_cuts(async || rebuild::run_ticket_counts(job(&world.journal)).await).await;
        assert!(cuts > 3, "only {cuts}");
        assert_eq!((outcome.differences, outcome.generation >= generation), (0, true), "{outcome:?}");
        assert_counts(&world).await;
        let (cuts, outcome) = with_cuts(async || rebuild::run_mypage(&path, job(&world.journal)).await).await;
        assert!(cuts > 3, "only {cuts}");
        assert_eq!(outcome.differences, 0, "{outcome:?}");
        assert_eq!(live_histories(&world, &path).await, expected);
    }
}

#[tokio::test]
async fn what_cannot_be_projected_stops_a_rebuild_and_is_named_and_the_live_copy_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let mut world = World::new(83).await;
    world.history(2).await;
    live_counts(&world).await;
    let expected = live_histories(&world, &path).await;
    // A hole in the log, which nothing that is read shows.
    let hole = async |from: i64, to: i64| {
        let sql = format!("UPDATE events SET position = {to} WHERE position = {from} RETURNING position");
        scalar::<i64>(&world, &sql).await
    };
    hole(7, 1_000_000).await;
    let error = rebuild::run_mypage(&path, job(&world.journal)).await.unwrap_err();
    assert!(matches!(&error, Error::Holes { .. }), "{error}");
    let error = rebuild::run_ticket_counts(job(&world.journal)).await.unwrap_err();
    assert!(matches!(&error, Error::Holes { .. }), "{error}");
    hole(1_000_000, 7).await;
    let spoil = "UPDATE events SET payload = '{\"TicketsHeld\": {\"qty\": 1}}' WHERE position =
                 (SELECT max(position) FROM events WHERE event_type = 'TicketsHeld') RETURNING position";
    let position = Position::from_sql(scalar(&world, spoil).await);
    let error = rebuild::run_ticket_counts(job(&world.journal)).await.unwrap_err();
    assert!(matches!(&error, Error::Undecodable { position: at, .. } if *at == position), "{error}");
    assert!(error.to_string().contains(&position.to_string()), "{error}");
    let spoil = "UPDATE events SET payload = '{}' WHERE position =
                 (SELECT max(position) FROM events WHERE event_type = 'BookingRequested') RETURNING position";
    let position = Position::from_sql(scalar(&world, spoil).await);
    let error = rebuild::run_mypage(&path, job(&world.journal)).await.unwrap_err();
    assert!(matches!(&error, Error::Undecodable { position: at, .. } if *at == position), "{error}");
    let (mypage, _) = MyPage::open(&path).await.unwrap();
    assert_eq!(mypage.histories(None, 200, None).await.unwrap(), expected);
    assert_eq!(scalar::<i64>(&world, "SELECT count(*) FROM projection_rebuilds").await, 0, "it is over");
}

/// Projections, readers who look all the time, and somebody who books.
struct Busy {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    running: Vec<Running>,
    views: ConcertViews,
    mypage: MyPage,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Busy {
    async fn start(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mypage.db");
        let pool = world.journal.pool().clone();
        let (stop, mut tasks) = (CancellationToken::new(), Vec::new());
        let counts = TicketCounts::open(pool.clone()).await.unwrap();
        let progress = counts.progress().clone();
        let views = ConcertViews::open(pool.clone()).await.unwrap();
        let (mypage, writer) = MyPage::open(&path).await.unwrap();
        let source = || Box::new(world.journal.follow(Position(0)));
        let running = vec![
            Running::start(runner(counts, source(), pool.clone())),
            Running::start(runner(writer, source(), pool.clone())),
        ];
        tasks.push(tokio::spawn(views.clone().run(Some(progress), stop.clone())));
        tasks.push(tokio::spawn(look(views.clone(), mypage.clone(), world.journal.clone(), stop.clone())));
        Self { stop, tasks, running, views, mypage, path, _dir: dir }
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
        for running in self.running {
            running.stop().await;
        }
    }
}

/// Every read succeeds, and no reader ever goes back: neither the views, nor a concert, nor a list of bookings.
async fn look(views: ConcertViews, mypage: MyPage, journal: Journal, stop: CancellationToken) {
    let (mut at, mut of_concert, mut bookings) = (Position(0), Position(0), 0);
    while !stop.is_cancelled() {
        let head = journal.position();
        assert!(views.wait_for(head, DEADLINE).await && mypage.wait_for(head, DEADLINE).await, "stale at {head}");
        assert!(views.position() >= at.max(head), "the views went back");
        at = views.position();
        let seen = views.get(concert(0)).await.unwrap().expect("the concert").position;
        assert!(seen >= of_concert, "the concert went back from {of_concert} to {seen}");
        of_concert = seen;
        let histories = mypage.histories(None, 200, None).await.unwrap();
        assert!(histories.len() >= bookings, "bookings went from {bookings} to {}", histories.len());
        assert!(histories.iter().all(|history| history.updated_at >= history.requested_at));
        bookings = histories.len();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn while_people_book_and_look_rebuilds_are_not_noticed() {
    let mut world = World::new(89).await;
    world.history(3).await;
    let busy = Busy::start(&world).await;
    let (path, journal) = (busy.path.clone(), world.journal.clone());
    let rebuilding = tokio::spawn(async move {
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            outcomes.push(rebuild::run_ticket_counts(job(&journal)).await.unwrap());
            outcomes.push(rebuild::run_mypage(&path, job(&journal)).await.unwrap());
        }
        outcomes
    });
    let mut rounds = 0;
    while !rebuilding.is_finished() {
        world.request(10_000 + rounds, rounds % 3, rounds % 5, 1).await;
        world.saga().await;
        rounds += 1;
    }
    for outcome in rebuilding.await.unwrap() {
        assert_eq!((outcome.differences, outcome.switched), (0, true), "{outcome:?}");
    }
    assert!(rounds > 3, "nothing happened meanwhile");
    let end = world.journal.position();
    assert!(busy.views.wait_for(end, DEADLINE).await && busy.mypage.wait_for(end, DEADLINE).await);
    let seen = busy.mypage.histories(None, 200, None).await.unwrap();
    busy.end().await;
    assert_counts(&world).await;
    let fresh = tempfile::tempdir().unwrap();
    assert_eq!(live_histories(&world, &fresh.path().join("fresh.db")).await, seen);
}

#[tokio::test]
async fn readers_who_remember_what_was_wrong_see_what_is_right_after_the_switch() {
    let mut world = World::new(97).await;
    world.history(2).await;
    live_counts(&world).await;
    sqlx::query("UPDATE ticket_counts_v1 SET capacity = capacity + 1000").execute(world.journal.pool()).await.unwrap();
    let busy = Busy::start(&world).await;
    let mut watching = busy.views.watch(concert(0)).await.unwrap().unwrap();
    let wrong: Arc<_> = busy.views.get(concert(0)).await.unwrap().unwrap();
    let outcome = counts(&world).await;
    assert_eq!(outcome.differences, 3);
    let right = wrong.counts.capacity - 1_000;
    let told = tokio::time::timeout(DEADLINE, watching.wait_for(|view| view.counts.capacity == right)).await;
    told.expect("the watchers to be told").unwrap();
    assert_eq!(busy.views.get(concert(0)).await.unwrap().unwrap().counts.capacity, right);
    // And what its writer remembered is not written again.
    world.request(777, 0, 1, 1).await;
    world.saga().await;
    assert!(busy.views.wait_for(world.journal.position(), DEADLINE).await);
    busy.end().await;
    assert_counts(&world).await;
}

#[tokio::test]
async fn one_at_a_time_and_an_older_version_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let mut world = World::new(101).await;
    world.history(1).await;
    live_counts(&world).await;
    let expected = live_histories(&world, &path).await;
    let pool = world.journal.pool();
    let lease =
        journal::seize(&pool.connect_options(), "rebuild ticket-counts ").await.unwrap().expect("nobody has it");
    let refused = rebuild::run_ticket_counts(job(&world.journal)).await.unwrap_err();
    assert!(matches!(refused, Error::BeingRebuilt(_)), "{refused}");
    lease.release().await;

    assert!(!ticket_counts::is_outdated(pool).await.unwrap());
    sqlx::query("UPDATE projection_generations SET version = 0").execute(pool).await.unwrap();
    assert!(ticket_counts::is_outdated(pool).await.unwrap());
    counts(&world).await;
    assert!(!ticket_counts::is_outdated(pool).await.unwrap());

    let older = "PRAGMA user_version = 0; UPDATE generations SET version = 0";
    rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();
    // It is served, and kept up, as it is.
    assert_eq!(live_histories(&world, &path).await, expected);
    assert!(MyPage::is_outdated(&path).await.unwrap());
    rebuild::run_mypage(&path, job(&world.journal)).await.unwrap();
    assert!(!MyPage::is_outdated(&path).await.unwrap());
    assert_eq!(live_histories(&world, &path).await, expected);
}

#[tokio::test]
async fn a_file_that_knows_nothing_of_copies_goes_on_and_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let mut world = World::new(103).await;
    world.history(1).await;
    let expected = live_histories(&world, &path).await;
    // As files were before there were copies: the booking's uniqueness is the table's, and nothing stands beside it.
    let before = "DROP TABLE generations; DROP TABLE parked; ALTER TABLE histories RENAME TO newer;
        CREATE TABLE histories (id INTEGER PRIMARY KEY, booking_id BLOB NOT NULL UNIQUE, concert_id BLOB NOT NULL,
            user_id BLOB NOT NULL, status TEXT NOT NULL, qty INTEGER NOT NULL CHECK (qty > 0), amount INTEGER,
            currency TEXT, payment_id BLOB, requested_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
            position INTEGER NOT NULL) STRICT;
        INSERT INTO histories SELECT * FROM newer; DROP TABLE newer;
        CREATE INDEX histories_user ON histories (user_id);";
    rusqlite::Connection::open(&path).unwrap().execute_batch(before).unwrap();
    assert_eq!(live_histories(&world, &path).await, expected);
    let journal = open(&world.postgres).await;
    let outcome = rebuild::run_mypage(&path, job(&journal)).await.unwrap();
    assert_eq!((outcome.differences, outcome.generation), (0, 2));
    assert_eq!(live_histories(&world, &path).await, expected);
}
