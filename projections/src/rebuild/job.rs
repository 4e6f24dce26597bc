//! One rebuild, from being alone at it to its end.

use std::{path::Path, time::Instant};

use futures::future::BoxFuture;
use journal::Lease;
use sqlx::PgPool;
use tokio::sync::watch;

use super::{Log, Outcome, SEGMENT_EVENTS, SWITCH_EVENTS_MAX, Stage, Stages};
use crate::{Error, mypage, ticket_counts};

/// What a rebuild needs.
pub struct Job {
    /// The journal's database, where also the counts are.
    pub pool: PgPool,
    /// Where the log is read.
    pub log: Log,
    /// Is told how far it is.
    pub stages: watch::Sender<Stage>,
    /// Build and compare, but do not switch.
    pub dry_run: bool,
    /// Events read, folded and written as one.
    pub segment_events: u64,
    /// Events that may be missing when the live copy is held back.
    pub switch_events_max: u64,
}

impl Job {
    /// To be told of by nobody, of the usual size.
    pub fn new(pool: PgPool, log: Log) -> Self {
        Self {
            pool,
            log,
            stages: watch::Sender::new(Stage::default()),
            dry_run: false,
            segment_events: SEGMENT_EVENTS,
            switch_events_max: SWITCH_EVENTS_MAX,
        }
    }
}

/// A job that is under way.
pub(crate) struct Work {
    pub log: Log,
    pub stages: Stages,
    pub dry_run: bool,
    pub segment_events: u64,
    pub switch_events_max: u64,
    /// Events gone through.
    pub events: u64,
    pub began: Instant,
}

/// Rebuilds the ticket counts.
pub fn run_ticket_counts(job: Job) -> BoxFuture<'static, Result<Outcome, Error>> {
    Box::pin(async move {
        ticket_counts::create(&job.pool).await?;
        let pool = job.pool.clone();
        let (mut work, mut lease) = begin(job, "ticket-counts", String::new()).await?;
        let done = tokio::select! {
            done = ticket_counts::Counts::rebuild(pool, &mut work) => done,
            () = lease.lost() => Err(Error::LeaseLost),
        };
        end(work, lease, done).await
    })
}

/// Rebuilds the booking histories in the file at `path`.
pub fn run_mypage(path: impl AsRef<Path>, job: Job) -> BoxFuture<'static, Result<Outcome, Error>> {
    let place = std::path::absolute(&path).unwrap_or_else(|_| path.as_ref().to_owned());
    Box::pin(async move {
        ticket_counts::create(&job.pool).await?;
        let (mut work, mut lease) = begin(job, "mypage", place.display().to_string()).await?;
        let done = tokio::select! {
            done = mypage::rebuild(place, &mut work) => done,
            () = lease.lost() => Err(Error::LeaseLost),
        };
        end(work, lease, done).await
    })
}

/// As the only one who rebuilds that projection at that place.
async fn begin(job: Job, projection: &'static str, place: String) -> Result<(Work, Lease), Error> {
    let Job { pool, log, stages, dry_run, segment_events, switch_events_max } = job;
    let options = pool.connect_options();
    let Some(lease) = journal::seize(&options, &format!("rebuild {projection} {place}")).await? else {
        return Err(Error::BeingRebuilt(projection.to_owned()));
    };
    let stages = Stages::new(pool, projection, place, stages);
    let began = Instant::now();
    Ok((Work { log, stages, dry_run, segment_events, switch_events_max, events: 0, began }, lease))
}

async fn end(work: Work, lease: Lease, done: Result<Outcome, Error>) -> Result<Outcome, Error> {
    let ended = work.stages.end().await;
    lease.release().await;
    let outcome = done?;
    ended?;
    Ok(outcome)
}
