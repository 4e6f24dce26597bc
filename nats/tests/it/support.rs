//! What the tests have in common.

use std::{path::Path, sync::Arc, time::Duration};

use aggregates::{Booking, BookingCommand, BookingId, ConcertId, Qty, UserId, booking::Request};
use async_nats::{
    Client,
    jetstream::{
        self, Context,
        consumer::{DeliverPolicy, pull::OrderedConfig},
        stream::Stream,
    },
};
use futures::StreamExt;
use journal::{EventSource, Journal, JournalOptions, Metadata, Position, RecordedEvent, read_after};
use nats::{Received, Relay, RelayState, RelayStatus, STREAM, StreamOptions, connect, from_message, subject};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use stack::{Nats, Postgres, testing::eventually};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(20);
/// Events read back from Postgres at once.
const READ_EVENTS: usize = 4_096;

pub struct World {
    pub postgres: Postgres,
    pub nats: Nats,
    pub journal: Journal,
}

impl World {
    pub async fn start() -> Self {
        let (postgres, nats) = tokio::join!(Postgres::temp(), Nats::temp());
        let postgres = postgres.unwrap();
        let journal = open(&postgres).await;
        Self { postgres, nats: nats.unwrap(), journal }
    }

    pub async fn client(&self) -> Client {
        connect(&self.nats.url(), "test").await.unwrap()
    }

    pub async fn reader(&self) -> Client {
        connect(&self.nats.reader_url(), "test reader").await.unwrap()
    }

    pub async fn context(&self) -> Context {
        jetstream::new(self.client().await)
    }

    pub async fn stream(&self) -> Stream {
        self.context().await.get_stream(STREAM).await.unwrap()
    }

    pub async fn relay(&self) -> Running {
        self.relay_with(StreamOptions::default()).await
    }

    pub async fn relay_with(&self, options: StreamOptions) -> Running {
        let relay = Relay::new(self.journal.clone(), self.client().await, options);
        let (status, stop) = (relay.status(), CancellationToken::new());
        Running { status, stop: stop.clone(), task: tokio::spawn(relay.run(stop)) }
    }

    /// Appends `count` events.
    pub async fn append(&self, count: usize) {
        append(&self.journal, count).await;
    }

    pub async fn row(&self, position: u64) -> RecordedEvent {
        read_after(self.journal.pool(), Position(position - 1), 1).await.unwrap().remove(0)
    }

    /// Takes everything after `position` out of Postgres, as restoring a backup does.
    pub async fn restore_backup_of(&mut self, position: u64) {
        self.journal.close().await;
        self.journal = open(&self.postgres).await;
        for sql in ["DELETE FROM events WHERE position > $1", "UPDATE journal_head SET position = $1"] {
            sqlx::query(sql).bind(position.cast_signed()).execute(self.journal.pool()).await.unwrap();
        }
        self.journal.close().await;
        self.journal = open(&self.postgres).await;
    }

    /// Starts nats-server with what its storage held when `backup` was made.
    pub async fn lose_storage(&self, backup: Option<&Path>) {
        self.nats.kill().await.unwrap();
        std::fs::remove_dir_all(self.nats.store_dir()).unwrap();
        if let Some(backup) = backup {
            copy_dir(backup, &self.nats.store_dir());
        }
        self.nats.start_again().await.unwrap();
    }

    /// Ends the session of whoever is the relay, and takes its place until the connection is closed.
    pub async fn take_the_office(&self) -> PgConnection {
        let mut connection = PgConnection::connect_with(self.journal.connect_options()).await.unwrap();
        let next = tokio::spawn(async move {
            let lock = "SELECT pg_advisory_lock(hashtext('boxoffice'), hashtext('relay'))";
            sqlx::query(lock).execute(&mut connection).await.unwrap();
            connection
        });
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        eventually("the test to be next in line", SOON, || async {
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(self.journal.pool()).await.unwrap() == 1
        })
        .await;
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted";
        sqlx::query(ended).execute(self.journal.pool()).await.unwrap();
        next.await.unwrap()
    }

    /// The messages of the stream's last sequence and number must be as many as Postgres has events.
    pub async fn assert_mirrored(&self) {
        let state = self.stream().await.get_info().await.unwrap().state;
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(self.journal.pool()).await.unwrap();
        let count = count.cast_unsigned();
        assert_eq!((state.messages, state.first_sequence, state.last_sequence), (count, 1, count));
        let deliver_policy = DeliverPolicy::All;
        let config = OrderedConfig { deliver_policy, ..OrderedConfig::default() };
        let mut messages = self.stream().await.create_consumer(config).await.unwrap().messages().await.unwrap();
        let mut at = Position(0);
        while at.0 < count {
            for row in read_after(self.journal.pool(), at, READ_EVENTS).await.unwrap() {
                let message = timeout(SOON, messages.next()).await.expect("a message").unwrap().unwrap();
                assert_eq!(message.payload, row.payload.as_bytes(), "message {}", row.position);
                assert_eq!(*message.subject, *subject(row.aggregate, &row.event_type));
                assert_eq!(from_message(Received::try_from(&message).unwrap()).unwrap(), row);
                at = row.position;
            }
        }
    }
}

/// A relay that runs.
pub struct Running {
    pub status: watch::Receiver<RelayStatus>,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Running {
    pub async fn reached(&mut self, position: Position) {
        let waiting = self.status.wait_for(|status| status.position >= position);
        let reached = timeout(SOON, waiting).await.map(|status| status.map(|_| ()));
        let status = self.status.borrow().clone();
        reached.unwrap_or_else(|_| panic!("waited for the relay to reach {position}, in vain: {status:?}")).unwrap();
    }

    /// Waits until it is live at `position`, having been elsewhere.
    pub async fn reached_again(&mut self, position: Position) {
        let wanted = RelayStatus { state: RelayState::Live, position };
        let waiting = self.status.wait_for(|status| *status == wanted);
        timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("waited for {wanted:?}, in vain")).unwrap();
    }

    pub async fn state(&mut self, what: &str, wanted: impl Fn(&RelayState) -> bool) -> RelayState {
        let waiting = self.status.wait_for(|status| wanted(&status.state));
        timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("waited for {what}, in vain")).unwrap().state.clone()
    }

    /// Waits until it is halted, and tells why.
    pub async fn halted(&mut self) -> String {
        match self.state("the relay to halt", |state| matches!(state, RelayState::Halted(_))).await {
            RelayState::Halted(halt) => halt.to_string(),
            other => unreachable!("{other:?}"),
        }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.task).await.expect("the relay to stop").unwrap();
    }
}

pub async fn open(postgres: &Postgres) -> Journal {
    let options: PgConnectOptions = postgres.url().parse().unwrap();
    Journal::open(options, JournalOptions::default()).await.unwrap()
}

/// Appends `count` events, in big units of work.
pub async fn append(journal: &Journal, count: usize) {
    let metadata = Metadata {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..Metadata::of_request("user:가", "r1")
    };
    let mut left = count;
    while left > 0 {
        let mut unit = journal.unit().await;
        for _ in 0..left.min(5_000) {
            let id = Uuid::now_v7();
            unit.execute_new::<Booking>(id, request(id), &metadata).await.unwrap();
        }
        left -= unit.events();
        unit.enqueue(None).await.unwrap().committed().await.unwrap();
    }
}

fn request(id: Uuid) -> BookingCommand {
    BookingCommand::Request(Request {
        booking_id: BookingId(id),
        concert_id: ConcertId(Uuid::nil()),
        user_id: UserId(Uuid::nil()),
        qty: Qty::new(1).unwrap(),
    })
}

/// Reads until `position` and checks that nothing is missing, doubled or changed on the way.
pub async fn read_until(source: &mut dyn EventSource, journal: &Journal, position: u64) -> Vec<Arc<RecordedEvent>> {
    let mut events = Vec::new();
    while source.position().0 < position {
        let at = source.position();
        let next =
            timeout(SOON, source.next(100)).await.unwrap_or_else(|_| panic!("waited for what follows {at}, in vain"));
        let next = next.unwrap();
        let rows = read_after(journal.pool(), at, next.len()).await.unwrap();
        assert!(next.iter().map(|event| &**event).eq(rows.iter()), "what follows {at} is not what Postgres has");
        assert!((1..=100).contains(&next.len()));
        assert_eq!(source.position(), next.last().unwrap().position);
        events.extend(next);
    }
    events
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Waits until the stream ends at `position`.
pub async fn stream_ends_at(world: &World, position: u64) {
    let stream = world.stream().await;
    eventually("the stream to end there", SOON, || async {
        stream.get_info().await.is_ok_and(|info| info.state.last_sequence == position)
    })
    .await;
}
