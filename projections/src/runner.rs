//! Feeds a projection from the log, each event's effect exactly once.

use std::{sync::Arc, time::Duration};

use aggregates::Upcasters;
use journal::{EventSource, Position, ReadError, RecordedEvent, last_position};
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{Anchor, Applied, Batch, Error, Projection};

/// Events applied in one transaction, at most.
pub const BATCH_EVENTS_MAX: usize = 4_096;
/// How far apart batches begin, at least, unless they are full: a transaction costs much the same whatever is in it, and
/// under load several commits of the journal are in this time. What comes after a rest is applied at once.
pub const BATCH_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Pause before the first retry after a database did not answer; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Pause between two retries, at most. There is no last one: the log waits, and so do we, until told to stop.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often the end of the log is asked for, to tell how far behind the projection is.
const LAG_INTERVAL: Duration = Duration::from_secs(1);
/// How long that question may hold up the projection.
const LAG_WAIT_MAX: Duration = Duration::from_millis(250);

/// Drives one projection. Several at once, in whatever processes, are safe but no faster: each batch is applied by
/// exactly one of them.
pub struct Runner<P> {
    projection: P,
    source: Box<dyn EventSource>,
    log: PgPool,
    upcasters: Upcasters,
    name: String,
    at: Position,
    /// Taken from the source and not applied yet.
    gathered: Vec<Arc<RecordedEvent>>,
    interval: Duration,
}

impl<P: Projection> Runner<P> {
    /// Feeds `projection` from `source`, wherever that stands now; `log` is asked where the log ends.
    pub fn new(projection: P, source: Box<dyn EventSource>, log: PgPool) -> Self {
        let name = format!("{}.v{}", projection.name(), projection.version());
        Self {
            projection,
            source,
            log,
            upcasters: Upcasters::current(),
            name,
            at: Position::default(),
            gathered: Vec::new(),
            interval: BATCH_INTERVAL_MIN,
        }
    }

    /// With batches that begin so far apart instead of [`BATCH_INTERVAL_MIN`]: with zero, a batch is what the source hands out.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Runs until told to stop, or until something is wrong that only people can put right.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let error = match self.follow(&stop, &mut pause).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !error.is_transient() {
                tracing::error!(%error, projection = self.name, position = %self.at, "the projection has stopped");
                return Err(error);
            }
            tracing::warn!(%error, projection = self.name, position = %self.at, "the projection pauses");
            metrics::counter!("projection_retries_total", "name" => self.projection.name()).increment(1);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(pause) => pause = (pause * 2).min(RETRY_PAUSE_MAX),
            }
        }
    }

    async fn follow(&mut self, stop: &CancellationToken, pause: &mut Duration) -> Result<(), Error> {
        if !self.resume(stop).await? {
            return Ok(());
        }
        let mut lag = interval(LAG_INTERVAL);
        lag.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut not_before = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = lag.tick() => measure_lag(&self.log, self.projection.name(), self.at).await,
                gathered = self.gather(not_before) => {
                    gathered?;
                    not_before = Instant::now() + self.interval;
                    let events = std::mem::take(&mut self.gathered);
                    if self.take(events).await? == Applied::Moved && !self.resume(stop).await? {
                        return Ok(());
                    }
                    *pause = RETRY_PAUSE_MIN;
                }
            }
        }
    }

    /// Gathers what comes until then, or more than nothing, or as much as fits in a batch. Cancelling loses nothing.
    async fn gather(&mut self, until: Instant) -> Result<(), ReadError> {
        if self.gathered.is_empty() {
            self.gathered = self.source.next(BATCH_EVENTS_MAX).await?;
        }
        // An error is not lost: what came before it is applied, and whoever asks next meets it again.
        while self.gathered.len() < BATCH_EVENTS_MAX
            && Instant::now() < until
            && let Ok(Ok(mut more)) = timeout_at(until, self.source.next(BATCH_EVENTS_MAX - self.gathered.len())).await
        {
            self.gathered.append(&mut more);
        }
        Ok(())
    }

    /// Goes to where the projection stands by what is committed, in this log; false where told to stop meanwhile.
    async fn resume(&mut self, stop: &CancellationToken) -> Result<bool, Error> {
        self.gathered.clear();
        let checkpoint = self.projection.checkpoint().await?;
        // Asked after the checkpoint, so that whoever moves it meanwhile cannot make it look ahead.
        let end = last_position(&self.log).await?;
        let (name, place) = (self.name.clone(), self.projection.place());
        if checkpoint.position > end {
            return Err(Error::CheckpointAhead { name, checkpoint: checkpoint.position, end, place });
        }
        if let Some(anchor) = checkpoint.anchor {
            self.source.seek(Position(checkpoint.position.0.saturating_sub(1)));
            let events = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                events = self.source.next(1) => events?,
            };
            let Some(event) = events.first().filter(|event| event.position == checkpoint.position) else {
                let got = events.first().map_or_else(Position::default, |event| event.position);
                return Err(Error::Gap { expected: checkpoint.position, got });
            };
            if Anchor::of(event) != anchor {
                return Err(Error::AnotherLog { name, checkpoint: checkpoint.position, end, place });
            }
        }
        self.source.seek(checkpoint.position);
        self.moved_to(checkpoint.position);
        Ok(true)
    }

    /// Applies what is new of `events`.
    async fn take(&mut self, events: Vec<Arc<RecordedEvent>>) -> Result<Applied, Error> {
        let (at, mut last) = (self.at, self.at);
        let new: Vec<_> = events
            .into_iter()
            .filter(|event| {
                let is_new = event.position > last;
                last = last.max(event.position);
                is_new
            })
            .collect();
        // What stands before a gap is none the worse for it.
        let sound = (at.0 + 1..).zip(&new).take_while(|(expected, event)| event.position.0 == *expected).count();
        let applied = match self.commit(&new[..sound]).await {
            Err(Error::TooManyParked { position, aggregate, aggregate_id, reason }) => {
                // Nor what stands before that.
                let sound = new.iter().take_while(|event| event.position < position).count();
                self.commit(&new[..sound]).await?;
                return Err(Error::TooManyParked { position, aggregate, aggregate_id, reason });
            }
            applied => applied?,
        };
        match new.get(sound) {
            Some(event) if applied == Applied::Committed => {
                Err(Error::Gap { expected: self.at.next(), got: event.position })
            }
            Some(_) | None => Ok(applied),
        }
    }

    async fn commit(&mut self, events: &[Arc<RecordedEvent>]) -> Result<Applied, Error> {
        let projection = &self.projection;
        let wants = |event: &RecordedEvent| projection.wants(event.aggregate, &event.event_type);
        let Some(batch) = Batch::decode(self.at, events, wants, &self.upcasters) else { return Ok(Applied::Committed) };
        let applied = self.projection.apply(&batch).await?;
        match applied {
            Applied::Committed => {
                self.moved_to(batch.to());
                metrics::counter!("projection_events_total", "name" => self.projection.name())
                    .increment(batch.to().0 - batch.from().0);
            }
            Applied::Moved => {
                tracing::info!(projection = self.name, position = %self.at, "another runner was there first");
            }
        }
        Ok(applied)
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn moved_to(&mut self, position: Position) {
        self.at = position;
        self.projection.progress().advance(position);
        metrics::gauge!("projection_position", "name" => self.projection.name()).set(position.0 as f64);
        metrics::gauge!("projection_parked", "name" => self.projection.name())
            .set(self.projection.parked().len() as f64);
    }
}

/// Tells how far `at` is behind the end of the log, if that can be had quickly.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
async fn measure_lag(log: &PgPool, name: &'static str, at: Position) {
    if let Ok(Ok(end)) = timeout(LAG_WAIT_MAX, last_position(log)).await {
        metrics::gauge!("projection_lag_events", "name" => name).set(end.0.saturating_sub(at.0) as f64);
    }
}
