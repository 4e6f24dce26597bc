//! The journal as a whole: its tasks, its cache, and its end.

use std::{sync::Arc, time::Duration};

use aggregates::Upcasters;
use postgres_es::PostgresEventRepository;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use thiserror::Error;
use tokio::sync::{Mutex, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Follower, Position, ReadError,
    cache::Aggregates,
    last_position, snapshot,
    snapshot::Snapshots,
    tail::Tail,
    writer::{QUEUE_UNITS_MAX, Queued, Writer},
};

/// How long a read waits for a connection, as while Postgres is restarted, before it is told that there is none.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(10);

/// A connection that rested longer than this is asked whether it still lives before it is used. To ask each time is a round
/// trip for every query; and what breaks meanwhile is an error that the caller may try again, as it is in the query itself.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// How the journal is opened.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Users, bookings and payments kept in memory, at most.
    pub cache_aggregates_max: usize,
    /// Concerts kept in memory: as many as have so many events together, and one at least. A booking is two or three of a
    /// concert's events, and some hundred bytes of its state.
    pub cache_concert_events_max: u64,
    /// Connections for reading, at most; the writer has one of its own.
    pub connections_max: u32,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { cache_aggregates_max: 50_000, cache_concert_events_max: 1_000_000, connections_max: 16 }
    }
}

/// Why the journal could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Postgres did not answer, or not as it should.
    #[error("Postgres (DATABASE_URL) cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// Its schema is not one of ours.
    #[error("the schema could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The end of the log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A handle to the journal; clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub pool: PgPool,
    pub options: PgConnectOptions,
    pub repository: PostgresEventRepository,
    pub upcasters: Arc<Upcasters>,
    pub cache: Arc<Aggregates>,
    pub tail: Arc<Tail>,
    /// Taken away when the journal closes, so that the writer ends once the queue is empty.
    pub queue: parking_lot::RwLock<Option<mpsc::Sender<Queued>>>,
    /// Units over several aggregates lock them one after another; one such unit at a time cannot deadlock.
    pub several: Arc<Mutex<()>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Journal {
    /// Connects, brings the schema up to date, and starts the writer.
    pub async fn open(database: PgConnectOptions, options: JournalOptions) -> Result<Self, OpenError> {
        // By itself first: a pool says only that it waited in vain, not what for.
        PgConnection::connect_with(&database).await?.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(CONNECTION_WAIT_MAX)
            .test_before_acquire(false)
            .before_acquire(|connection, resting| {
                Box::pin(async move {
                    if resting.idle_for > IDLE_TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(database.clone())
            .await?;
        sqlx::migrate!().run(&pool).await?;
        let tail = Arc::new(Tail::new(last_position(&pool).await?));
        let cache = Arc::new(Aggregates::new(options.cache_aggregates_max, options.cache_concert_events_max));
        let (queue, queued) = mpsc::channel(QUEUE_UNITS_MAX);
        let (snapshots, due) = Snapshots::channel();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Writer::new(database.clone(), Arc::clone(&tail), Arc::clone(&cache), snapshots).run(queued));
        tasks.spawn(snapshot::run(pool.clone(), due));
        tasks.spawn({
            let (pool, tail, cache, stop) = (pool.clone(), Arc::clone(&tail), Arc::clone(&cache), stop.clone());
            async move { tail.watch(&pool, &cache, &stop).await }
        });
        tasks.close();
        Ok(Self {
            inner: Arc::new(Inner {
                repository: PostgresEventRepository::new(pool.clone()),
                pool,
                options: database,
                upcasters: Arc::new(Upcasters::current()),
                cache,
                tail,
                queue: parking_lot::RwLock::new(Some(queue)),
                several: Arc::new(Mutex::new(())),
                tasks,
                stop,
            }),
        })
    }

    /// Follows the log from the event after `position`.
    pub fn follow(&self, position: Position) -> Follower {
        Follower::new(self.inner.pool.clone(), Arc::clone(&self.inner.tail), position)
    }

    /// The last position that is known to be committed.
    pub fn position(&self) -> Position {
        self.inner.tail.last()
    }

    /// Waits until `position` is known to be committed. Put a bound around it: nobody may ever get there.
    pub async fn reached(&self, position: Position) {
        let mut changes = self.inner.tail.changes();
        // The sender lives as long as the journal.
        let _closed = changes.wait_for(|last| *last >= position).await;
    }

    /// The connections for reading.
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    /// How to connect for sessions of one's own, as elections need.
    pub fn connect_options(&self) -> &PgConnectOptions {
        &self.inner.options
    }

    /// The upcasters that every read goes through.
    pub fn upcasters(&self) -> &Upcasters {
        &self.inner.upcasters
    }

    /// Aggregates in the cache, and how often they were and were not found there.
    pub fn cache_usage(&self) -> (usize, u64, u64) {
        self.inner.cache.usage()
    }

    /// Refuses what comes now, writes what is queued, and ends.
    pub async fn close(&self) {
        drop(self.inner.queue.write().take());
        self.inner.stop.cancel();
        self.inner.tasks.wait().await;
        self.inner.pool.close().await;
    }
}
