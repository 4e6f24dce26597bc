//! Where webhooks are kept that the log does not agree with already: on disk before they are answered.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use aggregates::Payment;
use chrono::Utc;
use journal::{Journal, create_tables};
use parking_lot::Mutex;
use serde_json::Value;
use sqlx::PgPool;
use thiserror::Error;
use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use super::{Change, Heard, WrongShape, read};
use crate::judge;

/// Different changes of one payment that are kept, at most. One more is not: that the provider must be asked once more is
/// noted on the newest. A payment truly has one or two, and a few more for each part that is given back; the rest is
/// somebody who makes them up. Of those that come at once a few more may slip in, one a process.
pub const CHANGES_MAX: i64 = 32;
/// How long the provider is not asked about a payment with too many changes: so often, at most, and no oftener, however
/// many somebody sends. In seconds.
pub const ASK_AGAIN_PAUSE: Duration = Duration::from_secs(30);
/// Webhooks stored in one commit, at most: whoever waits while one is made is in the next, as in the journal.
const BATCH_MAX: usize = 256;
/// Webhooks that wait to be stored, at most; the sender of one more is told to come again.
pub const WAITING_MAX: usize = 4_096;
/// How long a webhook may take to be stored; then its sender is told to come again. Toss Payments waits 10 seconds.
pub const STORE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a webhook about a try on its way may wait for the log to say the same, before it is stored: most come together
/// with the answer to that try.
pub const SAID_WITHIN: Duration = Duration::from_millis(30);
/// What an attempt is called in the journal.
const ATTEMPTED: &str = "PaymentAttempted";

/// What became of a webhook. Whoever sent it is told the same of each: taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is on disk, and will be heeded.
    Stored,
    /// The same change was told before.
    Known,
    /// The log says so itself, so nothing would follow. It is not kept: most are such, as the provider tells of what it has
    /// just answered.
    Said,
    /// There are [`CHANGES_MAX`] already: it is not kept, but the provider will be asked once more.
    TooMany,
    /// Of no payment that the provider can know from us. Nothing is kept, so nobody fills our disk.
    Ignored,
    /// An event that we do not know. Nothing is kept.
    Unknown,
}

impl Taken {
    /// The name, as in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Known => "known",
            Self::Said => "said",
            Self::TooMany => "too many",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a webhook was not taken.
#[derive(Debug, Error)]
pub enum InboxError {
    /// It is not what the provider sends. The same will not fare better.
    #[error(transparent)]
    WrongShape(#[from] WrongShape),
    /// It was not stored within [`STORE_WAIT_MAX`]. It should be sent again.
    #[error("the webhook could not be stored in time")]
    Late,
    /// Postgres did not take it. It should be sent again.
    #[error("the webhook could not be stored: {0}")]
    Database(#[source] Arc<sqlx::Error>),
}

/// Takes webhooks. Clones are the same inbox.
#[derive(Clone)]
pub struct Inbox {
    journal: Journal,
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    /// Held by whoever stores what waits, for all of them.
    turn: Arc<tokio::sync::Mutex<()>>,
    arrived: Arc<Notify>,
    said_within: Duration,
}

/// A webhook that is not stored yet, and whom to tell.
struct Waiting {
    change: Change,
    tell: oneshot::Sender<Result<Taken, InboxError>>,
}

/// Creates the table if need be.
pub(crate) async fn create(pool: &PgPool) -> Result<(), sqlx::Error> {
    create_tables(pool, "payment_webhooks", include_str!("../../migrations/payment_webhooks.sql")).await
}

impl Inbox {
    /// In the journal's database.
    pub async fn open(journal: &Journal) -> Result<Self, sqlx::Error> {
        create(journal.pool()).await?;
        Ok(Self {
            journal: journal.clone(),
            waiting: Arc::default(),
            turn: Arc::default(),
            arrived: Arc::default(),
            said_within: SAID_WITHIN,
        })
    }

    /// With another [`SAID_WITHIN`].
    pub fn said_within(self, said_within: Duration) -> Self {
        Self { said_within, ..self }
    }

    /// Takes a webhook of this type with this `data`. Once it says `Stored`, it is on disk.
    pub async fn take(&self, event_type: &str, data: &Value) -> Result<Taken, InboxError> {
        let taken = match read(event_type, data)? {
            Heard::Change(change) => {
                timeout(STORE_WAIT_MAX, self.keep(change)).await.unwrap_or(Err(InboxError::Late))?
            }
            Heard::NotOurs => Taken::Ignored,
            Heard::Unknown => Taken::Unknown,
        };
        metrics::counter!("payment_webhooks_total", "taken" => taken.as_str()).increment(1);
        Ok(taken)
    }

    /// Told when a webhook was stored here.
    pub(crate) fn arrived(&self) -> &Notify {
        &self.arrived
    }

    /// Stores it, unless the log says it too. Where the try that it can be about is still on its way, its answer is likely to
    /// be so as well, and is waited for a little.
    async fn keep(&self, change: Change) -> Result<Taken, InboxError> {
        let mut waits = [self.said_within].into_iter();
        // In memory only, so that nobody makes us read payments by naming them. What that lacks, since another process has just
        // appended it, can only have this one stored.
        while let Some(state) = self.journal.remembered::<Payment>(change.payment.0).await {
            if change.as_told_of(&state).is_some_and(|told| judge::says_so(&state, &told, Utc::now())) {
                return Ok(Taken::Said);
            }
            match waits.next() {
                Some(wait) if state.in_flight().is_some() => sleep(wait).await,
                Some(_) | None => break,
            }
        }
        self.store(change).await
    }

    /// Waits until it is stored: by whoever has the turn, which may be this caller.
    async fn store(&self, change: Change) -> Result<Taken, InboxError> {
        loop {
            let (tell, mut told) = oneshot::channel();
            {
                let mut waiting = self.waiting.lock();
                if waiting.len() >= WAITING_MAX {
                    return Err(InboxError::Late);
                }
                waiting.push_back(Waiting { change: change.clone(), tell });
            }
            loop {
                tokio::select! {
                    biased;
                    answer = &mut told => match answer {
                        Ok(taken) => return taken,
                        // Whoever was storing it has gone away, with its sender. The same again does no harm.
                        Err(_) => break,
                    },
                    _turn = self.turn.lock() => self.store_some().await,
                }
            }
        }
    }

    /// Stores some of what waits, and tells. Of each payment one: what is known of it is looked at before any is stored.
    async fn store_some(&self) {
        let batch = {
            let mut waiting = self.waiting.lock();
            let (mut batch, mut left, mut payments) = (Vec::new(), VecDeque::new(), HashSet::new());
            while batch.len() < BATCH_MAX
                && let Some(next) = waiting.pop_front()
            {
                if payments.insert(next.change.payment) { batch.push(next) } else { left.push_back(next) }
            }
            left.append(&mut waiting);
            *waiting = left;
            batch
        };
        let changes: Vec<&Change> = batch.iter().map(|waiting| &waiting.change).collect();
        match self.write(&changes).await {
            Ok(taken) => {
                if taken.contains(&Taken::Stored) {
                    self.arrived.notify_one();
                }
                for (waiting, taken) in batch.into_iter().zip(taken) {
                    // Whoever does not wait any more is told again when it sends it again.
                    let _gone = waiting.tell.send(Ok(taken));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for waiting in batch {
                    let _gone = waiting.tell.send(Err(InboxError::Database(Arc::clone(&error))));
                }
            }
        }
    }

    /// Only what names a payment that we have asked the provider about can be stored. Since the intent is in the log
    /// before the provider hears of it, nothing that is true comes too early.
    async fn write(&self, changes: &[&Change]) -> Result<Vec<Taken>, sqlx::Error> {
        let rows: Vec<(bool, bool, bool, bool)> = sqlx::query_as(
            "WITH told AS (
                SELECT * FROM UNNEST($3::uuid[], $4::text[], $5::text[], $6::text[])
                    WITH ORDINALITY AS told (payment_id, payment_key, status, transaction_key, nth)
             ), looked AS (
                SELECT told.*, kept.*, EXISTS (
                    SELECT FROM events
                    WHERE aggregate_type = $1 AND aggregate_id = told.payment_id::text AND event_type = $2
                ) AS is_tried
                FROM told, LATERAL (
                    SELECT count(*) < $7 AS has_room, max(received_at) AS newest,
                           coalesce(bool_or((kept.payment_key, kept.status, kept.transaction_key)
                                          = (told.payment_key, told.status, told.transaction_key)), false) AS is_known
                    FROM payment_webhooks AS kept WHERE kept.payment_id = told.payment_id
                ) AS kept
             ), stored AS (
                INSERT INTO payment_webhooks (payment_id, payment_key, status, transaction_key)
                SELECT payment_id, payment_key, status, transaction_key FROM looked
                WHERE is_tried AND NOT is_known AND has_room
                ON CONFLICT DO NOTHING
                RETURNING payment_id
             ), more AS (
                UPDATE payment_webhooks AS kept
                SET stands_for_more = true, heeded_at = NULL, received_at = now(), due_at = now() + $8
                FROM looked
                WHERE kept.payment_id = looked.payment_id AND kept.received_at = looked.newest
                  AND is_tried AND NOT is_known AND NOT has_room
                  -- One that is to be heeded later stands for this one as well. One that is being heeded right now
                  -- may not: its time changes, so that it is heeded once more.
                  AND (kept.heeded_at IS NOT NULL OR kept.due_at <= now())
             )
             SELECT is_tried, is_known, has_room, EXISTS (SELECT FROM stored WHERE stored.payment_id = looked.payment_id)
             FROM looked ORDER BY nth",
        )
        .bind(aggregates::AggregateType::Payment.as_str())
        .bind(ATTEMPTED)
        .bind(changes.iter().map(|change| change.payment.0).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.payment_key.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.status.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.transaction_key.as_str()).collect::<Vec<_>>())
        .bind(CHANGES_MAX)
        .bind(ASK_AGAIN_PAUSE)
        .fetch_all(self.journal.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|(is_tried, is_known, has_room, is_stored)| match (is_tried, is_stored, is_known || has_room) {
                (false, ..) => Taken::Ignored,
                (true, true, _) => Taken::Stored,
                // Told twice at once, the other was first.
                (true, false, true) => Taken::Known,
                (true, false, false) => Taken::TooMany,
            })
            .collect())
    }
}
