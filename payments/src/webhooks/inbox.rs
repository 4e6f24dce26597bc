//! Where webhooks are kept: on disk before they are answered.

use std::{sync::Arc, time::Duration};

use journal::{Journal, create_tables};
use serde_json::Value;
use sqlx::PgPool;
use thiserror::Error;
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};

use super::{Change, Heard, WrongShape, read};

/// Different changes of one payment that are kept, at most. One more is not: that the provider must be asked once more is
/// noted on the newest. A payment truly has one or two, and a few more for each part that is given back; the rest is
/// somebody who makes them up. Of those that come at once a few more may slip in, as many as [`AT_ONCE_MAX`] a process.
pub const CHANGES_MAX: i64 = 32;
/// How long the provider is not asked about a payment with too many changes: so often, at most, and no oftener, however
/// many somebody sends. In seconds.
pub const ASK_AGAIN_PAUSE: Duration = Duration::from_secs(30);
/// Webhooks stored at once, at most: whoever floods us with them must not have all the connections. The others wait.
pub const AT_ONCE_MAX: usize = 4;
/// How long a webhook may take to be stored; then its sender is told to come again. Toss Payments waits 10 seconds.
pub const STORE_WAIT_MAX: Duration = Duration::from_secs(5);
/// What an attempt is called in the journal.
const ATTEMPTED: &str = "PaymentAttempted";

/// What became of a webhook. Whoever sent it is told the same of each: taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is on disk, and will be heeded.
    Stored,
    /// The same change was told before.
    Known,
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
    Database(#[from] sqlx::Error),
}

/// Takes webhooks. Clones are the same inbox.
#[derive(Clone)]
pub struct Inbox {
    pool: PgPool,
    places: Arc<Semaphore>,
    arrived: Arc<Notify>,
}

/// Creates the table if need be.
pub(crate) async fn create(pool: &PgPool) -> Result<(), sqlx::Error> {
    create_tables(pool, "payment_webhooks", include_str!("../../migrations/payment_webhooks.sql")).await
}

impl Inbox {
    /// In the journal's database.
    pub async fn open(journal: &Journal) -> Result<Self, sqlx::Error> {
        create(journal.pool()).await?;
        let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
        Ok(Self { pool: journal.pool().clone(), places, arrived: Arc::default() })
    }

    /// Takes a webhook of this type with this `data`. Once it says `Stored`, it is on disk.
    pub async fn take(&self, event_type: &str, data: &Value) -> Result<Taken, InboxError> {
        let taken = match read(event_type, data)? {
            Heard::Change(change) => {
                timeout(STORE_WAIT_MAX, self.store(&change)).await.map_err(|_| InboxError::Late)??
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

    /// Only what names a payment that we have asked the provider about can be stored. Since the intent is in the log
    /// before the provider hears of it, nothing that is true comes too early.
    async fn store(&self, change: &Change) -> Result<Taken, sqlx::Error> {
        let Ok(_place) = self.places.acquire().await else { return Err(sqlx::Error::PoolClosed) };
        let (is_tried, is_known, has_room, is_stored): (bool, bool, bool, bool) = sqlx::query_as(
            "WITH tried AS (
                SELECT EXISTS (
                    SELECT FROM events WHERE aggregate_type = $1 AND aggregate_id = $2::text AND event_type = $3
                ) AS is_tried
             ), kept AS (
                SELECT count(*) < $7 AS has_room,
                       coalesce(bool_or((payment_key, status, transaction_key) = ($4, $5, $6)), false) AS is_known,
                       max(received_at) AS newest
                FROM payment_webhooks WHERE payment_id = $2
             ), stored AS (
                INSERT INTO payment_webhooks (payment_id, payment_key, status, transaction_key)
                SELECT $2, $4, $5, $6 FROM tried, kept WHERE is_tried AND NOT is_known AND has_room
                ON CONFLICT DO NOTHING
                RETURNING 1
             ), more AS (
                UPDATE payment_webhooks SET stands_for_more = true, heeded_at = NULL, received_at = now(), due_at = now() + $8
                FROM tried, kept
                WHERE payment_id = $2 AND received_at = newest AND is_tried AND NOT is_known AND NOT has_room
                  -- One that is to be heeded later stands for this one as well. One that is being heeded right now
                  -- may not: its time changes, so that it is heeded once more.
                  AND (heeded_at IS NOT NULL OR due_at <= now())
             )
             SELECT is_tried, is_known, has_room, EXISTS (SELECT FROM stored) FROM tried, kept",
        )
        .bind(aggregates::AggregateType::Payment.as_str())
        .bind(change.payment.0)
        .bind(ATTEMPTED)
        .bind(&change.payment_key)
        .bind(&change.status)
        .bind(&change.transaction_key)
        .bind(CHANGES_MAX)
        .bind(ASK_AGAIN_PAUSE)
        .fetch_one(&self.pool)
        .await?;
        if is_stored {
            self.arrived.notify_one();
        }
        Ok(match (is_tried, is_stored, is_known || has_room) {
            (false, ..) => Taken::Ignored,
            (true, true, _) => Taken::Stored,
            // Told twice at once, the other was first.
            (true, false, true) => Taken::Known,
            (true, false, false) => Taken::TooMany,
        })
    }
}
