//! An event that cannot be projected is parked: what follows it in its row waits behind it, all else goes on, and once it
//! can be projected everything is as if it always could.

use std::{collections::HashMap, path::Path};

use aggregates::{AggregateType, PaymentId, payment::Outcome, saga::Command};
use journal::{Journal, Position};
use projections::{
    BookingHistory, ConcertViews, Error, MyPage, PARKED_MAX, Parked, Projection, TicketCounts, mypage, ticket_counts,
};
use tokio_util::sync::CancellationToken;

use crate::world::{
    DEADLINE, NOW, Running, World, assert_counts, attempt, booking, catch_up, concert, open, runner, settle, stored,
};

/// The payload of an event as somebody spoilt it, and as it was.
struct Spoilt {
    position: Position,
    payload: String,
}

impl Spoilt {
    /// The `nth` event that is so, with its first quantity (or whatever `from` is) replaced.
    async fn at(world: &World, position: Position, from: &str, to: &str) -> Self {
        let pool = world.journal.pool();
        let payload: String = sqlx::query_scalar("SELECT payload::text FROM events WHERE position = $1")
            .bind(position.to_sql())
            .fetch_one(pool)
            .await
            .unwrap();
        let spoilt = payload.replacen(from, to, 1);
        assert_ne!(spoilt, payload);
        let this = Self { position, payload };
        this.write(world, &spoilt).await;
        this
    }

    async fn write(&self, world: &World, payload: &str) {
        sqlx::query("UPDATE events SET payload = $2::json WHERE position = $1")
            .bind(self.position.to_sql())
            .bind(payload)
            .execute(world.journal.pool())
            .await
            .unwrap();
    }

    async fn put_right(&self, world: &World) {
        self.write(world, &self.payload).await;
    }
}

/// The position of the `nth` event of that name.
async fn position_of(world: &World, name: &str, nth: usize) -> (Position, uuid::Uuid) {
    let events = world.log().await;
    let (recorded, _) = events.iter().filter(|(recorded, _)| &*recorded.event_type == name).nth(nth).expect(name);
    (recorded.position, recorded.aggregate_id)
}

/// A journal that has nothing in memory, so that it reads what was done to the rows.
async fn reading_rows(world: &World) -> Journal {
    open(&world.postgres).await
}

async fn counts_caught_up(world: &World) -> Vec<Parked> {
    let journal = reading_rows(world).await;
    let projection = TicketCounts::open(journal.pool().clone()).await.unwrap();
    let board = projection.parked().clone();
    catch_up(&journal, projection).await;
    board.all()
}

#[tokio::test]
async fn a_concert_waits_behind_its_spoilt_event_and_the_others_go_on() {
    for (from, to, said) in [("\"qty\":", "\"quantity\":", "quantity"), ("\"qty\":", "\"qty\":90", "than there are")] {
        let mut world = World::new(31).await;
        world.history(2).await;
        let (position, id) = position_of(&world, "TicketsHeld", 5).await;
        let spoilt = Spoilt::at(&world, position, from, to).await;

        let parked = counts_caught_up(&world).await;
        let [parked] = &parked[..] else { panic!("not one: {parked:?}") };
        assert_eq!((parked.position, parked.aggregate, parked.aggregate_id), (position, AggregateType::Concert, id));
        assert_eq!((parked.event_type.as_str(), parked.attempts), ("TicketsHeld", 1));
        assert!(parked.error.contains(said), "{}", parked.error);
        assert!(parked.waiting > 0);
        // The others are as they should be, this one as it was before.
        let expected = world_counts(&world, &spoilt).await;
        let stored = stored(&world.journal).await;
        for (concert, (at, counts)) in &stored {
            let last = expected
                .iter()
                .filter(|((id, at), _)| id == concert && (concert.0 != parked.aggregate_id || *at < position));
            let last = last.max_by_key(|((_, at), _)| *at).unwrap();
            assert_eq!((last.0.1, last.1), (*at, counts), "{concert}");
        }

        // In vain: one more attempt, kept where the next process finds it.
        spoilt.write(&world, &spoilt.payload.replacen(from, to, 1)).await;
        let retried = ticket_counts::retry(world.journal.pool()).await.unwrap();
        let left = retried[0].left.as_ref().expect("it cannot be projected yet");
        assert_eq!((left.attempts, retried[0].applied), (2, 0));
        assert_eq!(counts_caught_up(&world).await[0].attempts, 2);

        spoilt.put_right(&world).await;
        let retried = ticket_counts::retry(world.journal.pool()).await.unwrap();
        assert_eq!((retried.len(), &retried[0].left), (1, &None));
        assert_counts(&world).await;
        assert!(counts_caught_up(&world).await.is_empty());
    }
}

/// By the aggregates themselves, of the log as it was before it was spoilt.
async fn world_counts(
    world: &World,
    spoilt: &Spoilt,
) -> HashMap<(aggregates::ConcertId, Position), aggregates::Counts> {
    spoilt.put_right(world).await;
    world.expected().await
}

#[tokio::test]
async fn a_runner_and_its_readers_notice_a_retry_beside_them() {
    let mut world = World::new(37).await;
    world.register(0, 30).await;
    for n in 0..3 {
        world.request(n, 0, 1, 2).await;
    }
    world.saga().await;
    let (position, _) = position_of(&world, "TicketsHeld", 1).await;
    let spoilt = Spoilt::at(&world, position, "\"qty\":", "\"quantity\":").await;
    let journal = reading_rows(&world).await;
    let pool = journal.pool().clone();
    let projection = TicketCounts::open(pool.clone()).await.unwrap();
    let (progress, board) = (projection.progress().clone(), projection.parked().clone());
    let running = Running::start(runner(projection, Box::new(journal.follow(Position(0))), pool.clone()));
    let (views, stop) = (ConcertViews::open(pool.clone()).await.unwrap(), CancellationToken::new());
    let keeping_up = tokio::spawn(views.clone().run(Some(progress.clone()), stop.clone()));
    assert!(views.wait_for(journal.position(), DEADLINE).await);
    assert_eq!(views.get(concert(0)).await.unwrap().unwrap().counts.held, 2, "the first one only");
    assert_eq!((board.len(), board.all()[0].waiting), (1, 1));
    let mut watching = views.watch(concert(0)).await.unwrap().unwrap();

    spoilt.put_right(&world).await;
    ticket_counts::retry(&pool).await.unwrap();
    let changed = tokio::time::timeout(DEADLINE, watching.wait_for(|view| view.counts.held == 6)).await;
    changed.expect("watchers to be told").unwrap();
    assert_eq!(views.get(concert(0)).await.unwrap().unwrap().counts.held, 6);

    // The writer builds on what the retry wrote, not on what it remembers.
    world.request(7, 0, 1, 4).await;
    world.saga().await;
    assert!(views.wait_for(world.journal.position(), DEADLINE).await);
    assert_eq!(views.get(concert(0)).await.unwrap().unwrap().counts.held, 10);
    assert!(board.is_empty(), "{:?}", board.all());
    running.stop().await;
    stop.cancel();
    keeping_up.await.unwrap();
    assert_counts(&world).await;
}

#[tokio::test]
async fn more_than_may_be_parked_stops_the_projection_right_before_it() {
    let world = World::new(41).await;
    let most = u128::try_from(PARKED_MAX).unwrap();
    for n in 0..=most {
        world.register(n, 3).await;
    }
    let position = world.register(most + 1, 3).await;
    let sql = "UPDATE events SET payload = '{\"ConcertRegistered\": {}}' WHERE position > 1";
    sqlx::query(sql).execute(world.journal.pool()).await.unwrap();
    let journal = reading_rows(&world).await;
    let projection = TicketCounts::open(journal.pool().clone()).await.unwrap();
    let source = Box::new(journal.follow(Position(0)));
    let error = Running::start(runner(projection, source, journal.pool().clone())).error().await;
    let Error::TooManyParked { position: at, aggregate_id, .. } = &error else { panic!("{error}") };
    assert_eq!((*at, *aggregate_id), (position, concert(most + 1).0));
    assert!(error.to_string().contains(&position.to_string()), "{error}");
    let at = journal::checkpoint(world.journal.pool(), "ticket-counts.v1").await.unwrap();
    assert_eq!(at.next(), position);
    assert_eq!(counts_parked(&world).await, PARKED_MAX);
}

async fn counts_parked(world: &World) -> usize {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM projection_parked").fetch_one(world.journal.pool()).await.unwrap();
    usize::try_from(count).unwrap()
}

async fn histories(world: &World, path: &Path) -> (Vec<BookingHistory>, Vec<Parked>) {
    let journal = reading_rows(world).await;
    let (mypage, writer) = MyPage::open(path).await.unwrap();
    let board = writer.parked().clone();
    catch_up(&journal, writer).await;
    (mypage.histories(None, 200, None).await.unwrap(), board.all())
}

#[tokio::test]
async fn a_booking_waits_behind_a_spoilt_event_of_it_or_of_its_payment() {
    let dir = tempfile::tempdir().unwrap();
    for (nth, (name, field)) in [
        ("BookingRequested", "\"qty\":"),
        ("PaymentRequested", "\"qty\":"),
        // Not even which booking it is of can be read, but the payment is known.
        ("PaymentApproved", "\"bookingId\":"),
        ("BookingApproved", "\"userId\":"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = World::new(43).await;
        world.register(0, 30).await;
        for n in 1..4 {
            world.request(n, 0, n, 2).await;
        }
        world.saga().await;
        for n in 1..3 {
            let approved = Outcome::Approved { approved_at: NOW, payment_key: "k".to_owned() };
            for command in [attempt(booking(n)), settle(booking(n), approved)] {
                let Command::Payment(_, command) = command else { panic!("of a payment") };
                world.payment(n, command).await;
            }
        }
        world.saga().await;
        world.cancel(1).await;
        world.saga().await;
        let expected = histories(&world, &dir.path().join(format!("{nth}-expected.db"))).await.0;
        let (position, id) = position_of(&world, name, 0).await;
        let spoilt = Spoilt::at(&world, position, field, "\"other\":").await;
        let path = dir.path().join(format!("{nth}.db"));
        let (seen, parked) = histories(&world, &path).await;
        let [parked] = &parked[..] else { panic!("{name}: not one: {parked:?}") };
        assert_eq!((parked.position, parked.aggregate_id, parked.attempts), (position, id, 1), "{name}");
        let is_it = |history: &BookingHistory| history.booking_id.0 == id || PaymentId::of(history.booking_id).0 == id;
        for history in expected.iter().filter(|history| !is_it(history)) {
            assert!(seen.contains(history), "{name}: {history:?} does not go on");
        }
        let retried = mypage::retry(&path, world.journal.pool()).await.unwrap();
        assert_eq!(retried[0].left.as_ref().expect("still spoilt").attempts, 2, "{name}");
        spoilt.put_right(&world).await;
        let retried = mypage::retry(&path, world.journal.pool()).await.unwrap();
        assert_eq!((retried.len(), &retried[0].left), (1, &None), "{name}");
        assert_eq!(histories(&world, &path).await, (expected, Vec::new()), "{name}");
    }
}

#[tokio::test]
async fn who_was_erased_meanwhile_does_not_come_back_by_a_retry() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let mut world = World::new(47).await;
    world.register(0, 10).await;
    world.register_user(1).await;
    world.request(1, 0, 1, 2).await;
    world.saga().await;
    let (position, _) = position_of(&world, "BookingRequested", 0).await;
    let spoilt = Spoilt::at(&world, position, "\"qty\":", "\"other\":").await;
    world.one::<aggregates::User>(crate::world::user(1).0, aggregates::UserCommand::Erase).await;
    world.request(2, 0, 2, 2).await;
    assert_eq!(histories(&world, &path).await.1.len(), 1);
    spoilt.put_right(&world).await;
    mypage::retry(&path, world.journal.pool()).await.unwrap();
    let (seen, parked) = histories(&world, &path).await;
    let bookings: Vec<_> = seen.iter().map(|history| history.booking_id).collect();
    assert_eq!((bookings, parked), (vec![booking(2)], Vec::new()));
}
