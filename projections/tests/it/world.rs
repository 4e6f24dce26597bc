//! A journal with a history: fans and organizers who do at random what they can, and the saga that follows.

use std::{collections::HashMap, time::Duration};

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingId, Concert, ConcertCommand, ConcertId, Counts, Decide, Event, Money,
    Payment, PaymentCommand, PaymentId, Qty, Role, Sealed, Upcasters, User, UserCommand, UserId,
    booking::{CancelReason, Request},
    concert::Register,
    payment::Outcome,
    saga::{self, Command},
};
use chrono::{DateTime, Utc};
use journal::{
    EventSource, ExecuteError, Follower, Journal, JournalOptions, Metadata, Position, RecordedEvent, UnitOfWork,
    read_after,
};
use projections::{Error, Projection, Runner};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a test waits for something that happens, at most.
pub const DEADLINE: Duration = Duration::from_secs(30);
pub const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(0);

pub struct World {
    pub journal: Journal,
    saga: Follower,
    random: u64,
    // Last, so that it goes last.
    pub postgres: stack::Postgres,
}

pub fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(0x1000 + n))
}

pub fn concert(n: u128) -> ConcertId {
    ConcertId(Uuid::from_u128(0x2000 + n))
}

pub fn booking(n: u128) -> BookingId {
    BookingId(Uuid::from_u128(0x3000 + n))
}

pub fn by_a_test() -> Metadata {
    Metadata::of_request("system", "test")
}

impl World {
    pub async fn new(seed: u64) -> Self {
        let postgres = stack::Postgres::temp().await.unwrap();
        let journal = open(&postgres).await;
        let saga = journal.follow(Position(0));
        Self { journal, saga, random: seed, postgres }
    }

    /// Up to, not including, `below`.
    fn pick(&mut self, below: u64) -> u64 {
        // xorshift64*: the same history for the same seed.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    pub async fn register(&self, n: u128, capacity: u32) -> Position {
        let terms = Register {
            concert_id: concert(n),
            organizer_id: user(999),
            name: format!("Autumn {n}"),
            venue: n.is_multiple_of(2).then(|| "Hall".to_owned()),
            starts_at: None,
            capacity,
            price: Money::krw(110_000),
            max_per_booking: None,
            hold_seconds: 600,
        };
        self.one::<Concert>(concert(n).0, ConcertCommand::Register(terms)).await
    }

    pub async fn request(&self, n: u128, of: u128, by: u128, qty: u32) -> Position {
        let (booking_id, concert_id, user_id) = (booking(n), concert(of), user(by));
        let request = Request { booking_id, concert_id, user_id, qty: Qty::new(qty).unwrap() };
        self.one::<Booking>(booking_id.0, BookingCommand::Request(request)).await
    }

    pub async fn cancel(&self, n: u128) -> Position {
        self.one::<Booking>(booking(n).0, BookingCommand::Cancel { reason: CancelReason::ByFan }).await
    }

    pub async fn payment(&self, n: u128, command: PaymentCommand) -> Position {
        self.one::<Payment>(PaymentId::of(booking(n)).0, command).await
    }

    pub async fn register_user(&self, n: u128) -> Position {
        let sealed = || Sealed(String::new());
        let command = UserCommand::Register { user_id: user(n), role: Role::Fan, name: sealed(), email: sealed() };
        self.one::<User>(user(n).0, command).await
    }

    pub async fn one<A: Decide>(&self, id: Uuid, command: A::Command) -> Position {
        self.journal.execute::<A>(id, command, &by_a_test()).await.unwrap().position
    }

    /// The saga handles all there is, and what follows from it.
    pub async fn saga(&mut self) {
        while self.saga.position() < self.journal.position() {
            let events = self.saga.next(200).await.unwrap();
            let mut unit = self.journal.unit().await;
            for recorded in events {
                let event = recorded.decode(&Upcasters::current()).unwrap();
                let Some(id) = saga::booking_of(&event) else { continue };
                let booking = unit.state::<Booking>(id.0).await.unwrap().clone();
                for command in saga::react(&event, &booking, NOW) {
                    run(&mut unit, command).await;
                }
            }
            commit(&self.journal, unit).await;
        }
    }

    /// `rounds` of random commands over a few concerts, each followed by the saga.
    pub async fn history(&mut self, rounds: u128) {
        const CONCERTS: u64 = 3;
        const COMMANDS: u128 = 30;
        for n in 0..CONCERTS {
            self.register(n.into(), 10 + 30 * u32::try_from(n).unwrap()).await;
        }
        for round in 0..rounds {
            let mut commands = Vec::new();
            for n in 0..COMMANDS {
                let old = booking(u128::from(self.pick(1 + u64::try_from(round * COMMANDS + n).unwrap())));
                commands.push(match self.pick(10) {
                    0..=3 => {
                        let (booking_id, user_id) = (booking(round * COMMANDS + n), user(self.pick(5).into()));
                        let concert_id = concert(self.pick(CONCERTS + 1).into());
                        let qty = Qty::new(1 + u32::try_from(self.pick(4)).unwrap()).unwrap();
                        let request = Request { booking_id, concert_id, user_id, qty };
                        Command::Booking(booking_id, BookingCommand::Request(request))
                    }
                    4 | 5 => attempt(old),
                    6 | 7 => settle(old, Outcome::Approved { approved_at: NOW, payment_key: "k".to_owned() }),
                    8 => Command::Booking(old, BookingCommand::Cancel { reason: CancelReason::ByFan }),
                    _ => Command::Concert(
                        concert(self.pick(CONCERTS).into()),
                        ConcertCommand::ChangeCapacity { capacity: 5 + u32::try_from(self.pick(100)).unwrap() },
                    ),
                });
            }
            let mut unit = self.journal.unit().await;
            for command in commands {
                run(&mut unit, command).await;
            }
            commit(&self.journal, unit).await;
            self.saga().await;
        }
    }

    /// All these commands in one unit of work, and the saga.
    pub async fn all(&mut self, commands: impl Iterator<Item = Command>) {
        let mut unit = self.journal.unit().await;
        for command in commands {
            run(&mut unit, command).await;
        }
        commit(&self.journal, unit).await;
        self.saga().await;
    }

    /// A few more bookings of the concerts of [`World::history`].
    pub async fn history_goes_on(&mut self) {
        for n in 0..5 {
            self.request(50_000 + n, n % 3, n, 1).await;
        }
        self.saga().await;
    }

    /// Every event, as recorded and as decoded.
    pub async fn log(&self) -> Vec<(RecordedEvent, Event)> {
        let (mut log, mut at) = (Vec::new(), Position(0));
        while at < self.journal.position() {
            for recorded in read_after(self.journal.pool(), at, 1_000).await.unwrap() {
                at = recorded.position;
                let event = recorded.decode(&Upcasters::current()).unwrap();
                log.push((recorded, event));
            }
        }
        log
    }

    /// By the aggregates themselves: the counts of each concert after each event that changed it.
    pub async fn expected(&self) -> HashMap<(ConcertId, Position), Counts> {
        let mut states: HashMap<Uuid, Concert> = HashMap::new();
        let mut expected = HashMap::new();
        for (recorded, event) in self.log().await {
            let Event::Concert(event) = event else { continue };
            let changes = !matches!(event, aggregates::ConcertEvent::TicketsRefused { .. });
            let state = states.entry(recorded.aggregate_id).or_default();
            apply(state, event);
            if changes {
                expected.insert((ConcertId(recorded.aggregate_id), recorded.position), state.counts());
            }
        }
        expected
    }
}

fn apply<A: Decide>(state: &mut A, event: A::Event) {
    state.apply(event);
}

pub async fn open(postgres: &stack::Postgres) -> Journal {
    Journal::open(postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap()
}

pub fn attempt(id: BookingId) -> Command {
    let payment = PaymentId::of(id);
    let (attempt_id, payment_key) = (AttemptId::derived(payment, "1"), "key".to_owned());
    Command::Payment(payment, PaymentCommand::Attempt { attempt_id, payment_key, now: NOW })
}

pub fn settle(id: BookingId, outcome: Outcome) -> Command {
    let payment = PaymentId::of(id);
    Command::Payment(payment, PaymentCommand::Settle { attempt_id: AttemptId::derived(payment, "1"), outcome })
}

/// Stages what follows from `command`; a refusal is no matter.
async fn run(unit: &mut UnitOfWork, command: Command) {
    fn check<E: std::error::Error>(outcome: Result<bool, ExecuteError<E>>) {
        match outcome {
            Ok(_) | Err(ExecuteError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    match command {
        Command::Concert(id, command) => check(unit.execute::<Concert>(id.0, command, &by_a_test()).await),
        Command::Booking(id, command) => check(unit.execute::<Booking>(id.0, command, &by_a_test()).await),
        Command::Payment(id, command) => check(unit.execute::<Payment>(id.0, command, &by_a_test()).await),
    }
}

async fn commit(journal: &Journal, unit: UnitOfWork) {
    if unit.events() > 0 {
        let last = unit.enqueue(None).await.unwrap().committed().await.unwrap().last;
        journal.reached(last).await;
    }
}

/// A runner that applies what its source hands out as it comes, so that the source says what a batch is.
pub fn runner<P: Projection>(projection: P, source: Box<dyn EventSource>, log: PgPool) -> Runner<P> {
    Runner::new(projection, source, log).interval(Duration::ZERO)
}

/// A runner that is under way.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub fn start<P: Projection>(runner: Runner<P>) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(runner.run(stop.clone())), stop }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub async fn error(self) -> Error {
        let ended = tokio::time::timeout(DEADLINE, self.task).await.expect("the runner to stop by itself");
        ended.unwrap().expect_err("the runner to fail")
    }
}

/// Runs `projection` from `journal` up to the log's end.
pub async fn catch_up<P: Projection>(journal: &Journal, projection: P) {
    catch_up_within(journal, projection, DEADLINE).await;
}

/// The same, where it may take longer.
pub async fn catch_up_within<P: Projection>(journal: &Journal, projection: P, deadline: Duration) {
    let progress = projection.progress().clone();
    let source = Box::new(journal.follow(Position(0)));
    let running = Running::start(runner(projection, source, journal.pool().clone()));
    assert!(progress.reached(journal.position(), deadline).await, "the projection did not catch up");
    running.stop().await;
}

/// The stored counts, by concert.
pub async fn stored(journal: &Journal) -> HashMap<ConcertId, (Position, Counts)> {
    let rows: Vec<(Uuid, i64, i32, i32, i32, i32)> =
        sqlx::query_as("SELECT concert_id, position, capacity, held, sold, available FROM ticket_counts_v1")
            .fetch_all(journal.pool())
            .await
            .unwrap();
    let number = |n: i32| u32::try_from(n).unwrap();
    rows.into_iter()
        .map(|(id, position, capacity, held, sold, available)| {
            let counts = Counts { capacity: number(capacity), held: number(held), sold: number(sold) };
            assert_eq!(counts.available(), number(available));
            (ConcertId(id), (Position::from_sql(position), counts))
        })
        .collect()
}

/// Whether what is stored is what the aggregates say, up to the end of the log.
pub async fn assert_counts(world: &World) {
    let mut last = HashMap::new();
    for ((id, position), counts) in world.expected().await {
        let entry = last.entry(id).or_insert((position, counts));
        if entry.0 < position {
            *entry = (position, counts);
        }
    }
    assert_eq!(stored(&world.journal).await, last);
    let at = journal::checkpoint(world.journal.pool(), "ticket-counts.v1").await.unwrap();
    assert_eq!(at, world.journal.position());
}
