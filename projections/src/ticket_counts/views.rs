//! The read side: concerts out of memory, refreshed from Postgres.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use aggregates::ConcertId;
use journal::Position;
use parking_lot::RwLock;
use sqlx::PgPool;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    ConcertView,
    projector::VERSION,
    rows,
    shelf::{CONCERTS_KEPT_MAX, Found, Shelf},
    watchers::Watchers,
};
use crate::{Error, Progress};

/// How often Postgres is asked whether a projector in another process has moved on.
pub const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// Pause after Postgres did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Concerts on one page, at most; more are not asked for but cut off.
pub const CONCERTS_LIMIT_MAX: usize = 200;
/// Rows read at once while catching up.
const READ_ROWS_MAX: usize = 1_000;

/// The concerts as this process knows them; clones are the same.
#[derive(Clone)]
pub struct ConcertViews {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    shelf: RwLock<Shelf>,
    watchers: Watchers,
    /// Everything up to here is on the shelf.
    progress: Progress,
    /// Of the rows on the shelf: a switch to another generation, or a retry, changes rows behind the position.
    revision: AtomicI64,
}

impl ConcertViews {
    /// Reads what there is now. Keeping up afterwards is [`ConcertViews::run`]'s.
    pub async fn open(pool: PgPool) -> Result<Self, Error> {
        Self::open_with(pool, CONCERTS_KEPT_MAX).await
    }

    /// Like [`ConcertViews::open`], with another number of concerts kept in memory.
    pub async fn open_with(pool: PgPool, concerts_kept_max: usize) -> Result<Self, Error> {
        rows::create(&pool, VERSION).await?;
        let (position, revision) = rows::place(&pool).await?;
        let shelf = read_shelf(&pool, concerts_kept_max).await?;
        let (shelf, watchers, progress) = (RwLock::new(shelf), Watchers::default(), Progress::new(position));
        Ok(Self { inner: Arc::new(Inner { pool, shelf, watchers, progress, revision: AtomicI64::new(revision) }) })
    }

    /// Keeps up until told to stop: at once when `projector` moves on, where it runs in this process, else within
    /// [`POLL_INTERVAL`].
    pub async fn run(self, projector: Option<Progress>, stop: CancellationToken) {
        let mut moved = projector.map(|progress| progress.changes());
        loop {
            let pause = match self.refresh().await {
                Ok(()) => POLL_INTERVAL,
                Err(error) => {
                    tracing::warn!(%error, "the ticket counts could not be read; trying again");
                    RETRY_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = changed(&mut moved) => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One concert; `None` where there is none (yet).
    pub async fn get(&self, id: ConcertId) -> Result<Option<Arc<ConcertView>>, Error> {
        let found = self.inner.shelf.read().get(id);
        match found {
            Found::Concert(view) => Ok(Some(view)),
            Found::Nothing => Ok(None),
            Found::Unknown => Ok(rows::by_id(&self.inner.pool, &[id]).await?.pop().map(Arc::new)),
        }
    }

    /// Concerts, newest first: `limit` at most, and never more than [`CONCERTS_LIMIT_MAX`]; those registered before
    /// `before`, a [`ConcertView::registered_position`].
    pub async fn list(&self, limit: usize, before: Option<Position>) -> Result<Vec<Arc<ConcertView>>, Error> {
        let limit = limit.min(CONCERTS_LIMIT_MAX);
        let before = before.unwrap_or(Position::from_sql(i64::MAX));
        let (mut views, complete) = self.inner.shelf.read().newest(before, limit);
        if !complete {
            let before = views.last().map_or(before, |view| view.registered_position);
            let older = rows::newest(&self.inner.pool, before, limit - views.len()).await?;
            views.extend(older.into_iter().map(Arc::new));
        }
        Ok(views)
    }

    /// The concert now and, whenever it changes, again; a slow receiver sees the latest only. `None` where there is no
    /// such concert.
    pub async fn watch(&self, id: ConcertId) -> Result<Option<watch::Receiver<Arc<ConcertView>>>, Error> {
        let Some(view) = self.get(id).await? else { return Ok(None) };
        let receiver = self.inner.watchers.subscribe(view)?;
        if let Some(view) = self.get(id).await? {
            self.inner.watchers.publish(&view);
        }
        Ok(Some(receiver))
    }

    /// Everything up to here can be read.
    pub fn position(&self) -> Position {
        self.inner.progress.position()
    }

    /// Waits until everything up to `position` can be read, `timeout` at most; whether it can.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        self.inner.progress.reached(position, timeout).await
    }

    /// Takes in the rows that changed since the last time.
    async fn refresh(&self) -> Result<(), Error> {
        let Inner { pool, shelf, watchers, progress, revision } = &*self.inner;
        let mut known = progress.position();
        // Read before the rows: they may be newer than this, never older.
        let (position, current) = rows::place(pool).await?;
        if current != revision.load(Ordering::Relaxed) {
            let kept_max = shelf.read().kept_max();
            let fresh = read_shelf(pool, kept_max).await?;
            let watched: Vec<_> = watchers.ids().into_iter().filter_map(|id| fresh.view(id)).collect();
            *shelf.write() = fresh;
            for view in &watched {
                watchers.publish(view);
            }
            revision.store(current, Ordering::Relaxed);
            progress.advance(position);
            return Ok(());
        }
        if position <= known {
            return Ok(());
        }
        loop {
            let views: Vec<_> =
                rows::changed_after(pool, known, READ_ROWS_MAX).await?.into_iter().map(Arc::new).collect();
            let is_last = views.len() < READ_ROWS_MAX;
            known = views.last().map_or(known, |view| view.position);
            shelf.write().extend(&views);
            for view in &views {
                watchers.publish(view);
            }
            if is_last {
                break;
            }
        }
        progress.advance(position);
        Ok(())
    }
}

/// The newest concerts, and whether there are older ones.
async fn read_shelf(pool: &PgPool, kept_max: usize) -> Result<Shelf, Error> {
    let mut shelf = Shelf::new(kept_max);
    let mut before = Position::from_sql(i64::MAX);
    // Newest first, one more than are kept, so that the shelf learns whether there are older ones.
    let mut left = kept_max + 1;
    while left > 0 {
        let views = rows::newest(pool, before, left.min(READ_ROWS_MAX)).await?;
        let Some(oldest) = views.last() else { break };
        before = oldest.registered_position;
        left -= views.len();
        for view in views {
            shelf.put(Arc::new(view));
        }
    }
    Ok(shelf)
}

/// Returns when the projector has moved on; never, where there is none in this process (any more).
async fn changed(moved: &mut Option<watch::Receiver<Position>>) {
    if let Some(receiver) = moved
        && receiver.changed().await.is_ok()
    {
        return;
    }
    *moved = None;
    std::future::pending::<()>().await;
}
