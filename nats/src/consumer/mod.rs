//! The log as the mirror hands it out, and as Postgres does wherever the mirror cannot.

mod mirror;
mod only;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::Client;
use futures::future::BoxFuture;
use journal::{EventSource, Follower, Journal, Position, ReadError, RecordedEvent, last_position};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use self::mirror::{Doubt, Mirror};
pub use self::only::StreamSource;

/// How long the mirror may keep an event back that Postgres has, before Postgres is read instead.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause between two tries to go back to the mirror.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for an event that the mirror has to be known from Postgres.
const KNOWN_MAX: Duration = Duration::from_secs(2);

/// Where a [`MirrorSource`] reads at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// JetStream.
    Mirror,
    /// Postgres, because the mirror cannot serve.
    Postgres,
}

/// Follows the log in the mirror from a checkpoint on, insisting on continuity. Where the mirror cannot be reached, has a
/// gap, does not go back or forth far enough or contradicts the log, it reads Postgres until the mirror can serve again.
/// It never hands out an event that Postgres does not have.
pub struct MirrorSource {
    journal: Journal,
    client: Client,
    name: &'static str,
    at: Position,
    /// Whether the journal is known to reach `at`.
    checked: bool,
    /// Read from the mirror, and not handed out yet.
    ready: VecDeque<Arc<RecordedEvent>>,
    /// Since when the first of these has not been known from Postgres.
    unknown_since: Option<Instant>,
    feed: Reading,
    /// Since when Postgres has had the next event without the mirror delivering it.
    owed_since: Option<Instant>,
    /// What was said about the source last, so that it is said once.
    reported: Option<Feed>,
}

enum Reading {
    /// Before the first event: the mirror is tried first.
    First(BoxFuture<'static, Result<Mirror, Doubt>>),
    Mirror(Box<Mirror>),
    /// Meanwhile the mirror is tried again.
    Postgres(Follower, BoxFuture<'static, Result<Mirror, Doubt>>),
}

impl MirrorSource {
    /// A source that begins after `checkpoint`. `name` stands in logs and metrics.
    pub fn new(journal: Journal, client: Client, name: &'static str, checkpoint: Position) -> Self {
        let feed = Reading::First(Box::pin(Mirror::open(journal.clone(), client.clone(), checkpoint)));
        Self {
            journal,
            client,
            name,
            at: checkpoint,
            checked: false,
            ready: VecDeque::new(),
            unknown_since: None,
            feed,
            owed_since: None,
            reported: None,
        }
    }

    /// Where it reads at the moment; Postgres until the first answer of the mirror.
    pub const fn feed(&self) -> Feed {
        match self.feed {
            Reading::Mirror(_) => Feed::Mirror,
            Reading::First(_) | Reading::Postgres(..) => Feed::Postgres,
        }
    }

    async fn next_events(&mut self, max: usize) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        self.check().await?;
        loop {
            if let Some(events) = self.take_ready(max).await {
                return Ok(events);
            }
            match &mut self.feed {
                Reading::First(opening) => match opening.await {
                    Ok(mirror) => self.use_mirror(mirror),
                    Err(doubt) => self.use_postgres(&doubt),
                },
                Reading::Postgres(follower, opening) => {
                    tokio::select! {
                        biased;
                        opened = opening => match opened {
                            Ok(mirror) => self.use_mirror(mirror),
                            Err(doubt) => self.use_postgres(&doubt),
                        },
                        events = follower.next(max) => return Ok(self.hand_out(events?)),
                    }
                }
                Reading::Mirror(mirror) => {
                    let got = tokio::select! {
                        biased;
                        got = mirror.next(self.at, max) => got,
                        () = overdue(&self.journal, self.at.next(), &mut self.owed_since) => Err(Doubt::Overdue),
                    };
                    match got {
                        Ok(events) => self.ready.extend(events),
                        Err(doubt) => self.use_postgres(&doubt),
                    }
                }
            }
        }
    }

    /// What the mirror has delivered, as soon as Postgres is known to have it.
    async fn take_ready(&mut self, max: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let first = self.ready.front()?.position;
        // Another process may have appended it, and the news of that may still be on its way.
        let since = *self.unknown_since.get_or_insert_with(Instant::now);
        if timeout_at(since + KNOWN_MAX, self.journal.reached(first)).await.is_err() {
            self.use_postgres(&Doubt::NotInPostgres(first));
            return None;
        }
        self.unknown_since = None;
        let known = self.journal.position();
        let count = self.ready.iter().take(max.max(1)).take_while(|event| event.position <= known).count();
        let events = self.ready.drain(..count).collect();
        Some(self.hand_out(events))
    }

    fn hand_out(&mut self, events: Vec<Arc<RecordedEvent>>) -> Vec<Arc<RecordedEvent>> {
        if let Some(last) = events.last() {
            self.at = last.position;
            self.owed_since = None;
        }
        events
    }

    /// A checkpoint that Postgres does not reach is of another log.
    async fn check(&mut self) -> Result<(), ReadError> {
        if !self.checked && self.journal.position() < self.at && last_position(self.journal.pool()).await? < self.at {
            return Err(ReadError::Missing(self.at));
        }
        self.checked = true;
        Ok(())
    }

    fn use_mirror(&mut self, mirror: Mirror) {
        self.feed = Reading::Mirror(Box::new(mirror));
        self.owed_since = None;
        if self.reported.replace(Feed::Mirror) != Some(Feed::Mirror) {
            tracing::info!(source = self.name, position = %self.at, "following the log in the mirror");
        }
    }

    fn use_postgres(&mut self, doubt: &Doubt) {
        self.ready.clear();
        self.unknown_since = None;
        if self.reported.replace(Feed::Postgres) != Some(Feed::Postgres) {
            metrics::counter!("mirror_fallbacks_total", "source" => self.name).increment(1);
            tracing::warn!(source = self.name, position = %self.at, %doubt, "following the log in Postgres");
        }
        let (journal, client, at) = (self.journal.clone(), self.client.clone(), self.at);
        let opening = Box::pin(async move {
            sleep(REOPEN_PAUSE).await;
            Mirror::open(journal, client, at).await
        });
        self.feed = Reading::Postgres(self.journal.follow(at), opening);
    }
}

/// Returns once the mirror has kept `wanted` back for too long.
async fn overdue(journal: &Journal, wanted: Position, owed_since: &mut Option<Instant>) {
    journal.reached(wanted).await;
    let since = *owed_since.get_or_insert_with(Instant::now);
    sleep_until(since + PATIENCE).await;
}

impl EventSource for MirrorSource {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Arc<RecordedEvent>>, ReadError>> {
        Box::pin(self.next_events(max))
    }

    fn seek(&mut self, position: Position) {
        let reported = self.reported;
        *self = Self::new(self.journal.clone(), self.client.clone(), self.name, position);
        self.reported = reported;
    }

    fn position(&self) -> Position {
        self.at
    }
}
