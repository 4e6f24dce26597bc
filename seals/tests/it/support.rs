//! What the tests have in common.

use std::{path::PathBuf, time::Duration};

use aggregates::{
    Booking, BookingCommand, BookingId, Concert, ConcertCommand, ConcertId, Money, Qty, UserId, booking::Request,
    concert::Register,
};
use journal::{Journal, JournalOptions, Metadata, Position, RecordedEvent, read_after};
use seals::{Checkpoint, Hash, LeafHasher, Log, SealCheck, SealState, SealVerdict, Sealer, Signed, VerifierKey};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use stack::{Postgres, testing::eventually};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(30);
/// How often the sealers of the tests sign.
pub const OFTEN: Duration = Duration::from_millis(50);
/// Rows read back at once.
const READ_EVENTS: usize = 4_096;

pub struct World {
    pub postgres: Postgres,
    pub journal: Journal,
    pub dir: TempDir,
}

/// A sealer at work.
pub struct Running {
    pub log: Log,
    pub keys: Vec<VerifierKey>,
    pub status: tokio::sync::watch::Receiver<seals::SealStatus>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    pub async fn start() -> Self {
        let postgres = Postgres::temp().await.unwrap();
        let journal = open(&postgres).await;
        Self { postgres, journal, dir: tempfile::tempdir().unwrap() }
    }

    pub fn key_file(&self) -> PathBuf {
        self.dir.path().join("seal.key")
    }

    pub async fn sealer(&self) -> Sealer {
        Sealer::open(self.journal.clone(), self.key_file()).await.unwrap().every(OFTEN)
    }

    /// Starts a sealer.
    pub async fn seal(&self) -> Running {
        Running::of(self.sealer().await)
    }

    /// Appends as many bookings of one event each.
    pub async fn append(&self, bookings: usize) {
        append(&self.journal, bookings).await;
    }

    pub async fn connection(&self) -> PgConnection {
        let options: PgConnectOptions = self.postgres.url().parse().unwrap();
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// Runs SQL behind everybody's back.
    pub async fn tamper(&self, sql: &str) {
        let done = sqlx::query(sql).execute(self.journal.pool()).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql} changed nothing");
    }

    /// The leaf hashes of the rows as they are now, in order.
    pub async fn leaves(&self) -> Vec<Hash> {
        let (mut leaves, mut hasher, mut last) = (Vec::new(), LeafHasher::default(), Position(0));
        loop {
            let events: Vec<RecordedEvent> = read_after(self.journal.pool(), last, READ_EVENTS).await.unwrap();
            let Some(end) = events.last() else { return leaves };
            last = end.position;
            leaves.extend(events.iter().map(|event| hasher.hash_event(event)));
        }
    }

    /// Checks all seals; `outside` are checkpoints that were kept.
    pub async fn check(&self, outside: &[&str], trusted: &[VerifierKey]) -> SealVerdict {
        let mut connection = self.connection().await;
        let mut check = SealCheck::begin(&mut connection).await.unwrap();
        for note in outside {
            check.also("kept", note, trusted);
        }
        for leaves in self.leaves().await.chunks(1_000) {
            check.feed(&mut connection, leaves).await.unwrap();
        }
        check.finish(&mut connection).await.unwrap()
    }
}

impl Running {
    pub fn of(sealer: Sealer) -> Self {
        let (log, status, stop) = (sealer.log().clone(), sealer.status(), CancellationToken::new());
        let keys = sealer.keys().iter().map(|key| key.verifier().clone()).collect();
        Self { log, keys, status, task: tokio::spawn(sealer.run(stop.clone())), stop }
    }

    /// Waits until the whole log up to `position` is sealed; the checkpoint that does so.
    pub async fn sealed(&self, position: Position) -> Signed {
        sealed(&self.log, position).await
    }

    /// Waits until it is halted; why.
    pub async fn halted(&mut self) -> String {
        let halted = self.status.wait_for(|status| matches!(status.state, SealState::Halted(_)));
        let status = tokio::time::timeout(SOON, halted).await.expect("it to halt").unwrap();
        status.state.to_string()
    }

    /// Waits until it does not publish any more; why.
    pub async fn unpublished(&mut self) -> String {
        let halted = self.status.wait_for(|status| status.unpublished.is_some());
        let status = tokio::time::timeout(SOON, halted).await.expect("publishing to halt").unwrap();
        status.unpublished.as_ref().unwrap().to_string()
    }

    /// Ends it in order.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Ends it in the middle of whatever it does, as a crash would.
    pub async fn abort(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

pub async fn sealed(log: &Log, position: Position) -> Signed {
    eventually(&format!("position {position} to be sealed"), SOON, || async {
        log.newest().await.unwrap().is_some_and(|newest| newest.size >= position.0)
    })
    .await;
    log.newest().await.unwrap().unwrap()
}

pub async fn open(postgres: &Postgres) -> Journal {
    Journal::open(postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap()
}

pub async fn append(journal: &Journal, bookings: usize) {
    let mut appending = tokio::task::JoinSet::new();
    for _ in 0..bookings {
        let journal = journal.clone();
        appending.spawn(async move {
            let id = Uuid::now_v7();
            journal.execute_new::<Booking>(id, request(id, Uuid::nil()), &metadata()).await.unwrap();
        });
        // The journal takes no more at once.
        if appending.len() >= 2_000 {
            appending.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = appending.join_next().await {
        done.unwrap();
    }
}

pub fn metadata() -> Metadata {
    Metadata::of_request("test", "r1")
}

pub fn request(id: Uuid, concert: Uuid) -> BookingCommand {
    BookingCommand::Request(Request {
        booking_id: BookingId(id),
        concert_id: ConcertId(concert),
        user_id: UserId(Uuid::nil()),
        qty: Qty::new(1).unwrap(),
    })
}

/// A concert on sale.
pub async fn concert(journal: &Journal, capacity: u32) -> Uuid {
    let id = Uuid::now_v7();
    let register = ConcertCommand::Register(Register {
        concert_id: ConcertId(id),
        organizer_id: UserId(Uuid::nil()),
        name: "가을밤".to_owned(),
        venue: None,
        starts_at: None,
        capacity,
        price: Money::krw(1_000),
        max_per_booking: None,
        hold_seconds: 600,
    });
    journal.execute::<Concert>(id, register, &metadata()).await.unwrap();
    id
}

/// What the log says of itself at this moment must be true: every checkpoint, every tile, every row.
pub fn assert_sound(verdict: &SealVerdict) {
    assert!(verdict.is_sound(), "{:#?}", verdict.breaches);
}

/// What a stored checkpoint says, by the keys.
pub fn verified(signed: &Signed, keys: &[VerifierKey]) -> Checkpoint {
    let checkpoint = Checkpoint::verify(&signed.note, keys).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (signed.size, signed.root));
    checkpoint
}
