//! Idempotency keys: the same key and body stand for one effect, whoever sends them however often.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use thiserror::Error;
use uuid::Uuid;

use crate::secret::{Secret, keyed_hash};

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyReused {
    /// It stands for another request.
    #[error("this Idempotency-Key was used with another body")]
    OtherBody,
    /// Postgres did not answer.
    #[error("the idempotency keys cannot be read: {0}")]
    Database(#[from] sqlx::Error),
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The id that the effect goes by.
    pub resource: Uuid,
    /// When the key was first used.
    pub at: DateTime<Utc>,
}

/// The keys of all clients.
#[derive(Clone)]
pub struct Idempotency {
    pool: PgPool,
    key: [u8; 32],
}

impl Idempotency {
    /// Over the table that [`super::Accounts::open`] makes.
    pub fn new(pool: PgPool, secret: &Secret) -> Self {
        Self { pool, key: secret.key("fingerprints") }
    }

    /// What `key` of `scope` (a client and a route) stands for: this request, if it is new. Written before the effect,
    /// so a crash in between leaves an id that the repeated request goes on with.
    pub async fn reserve(&self, scope: &str, key: &str, body: &[u8]) -> Result<Reserved, KeyReused> {
        let fingerprint = keyed_hash(&self.key, body);
        loop {
            // A concurrent first use is waited for, but only the next statement sees it.
            let row: Option<(Vec<u8>, Uuid, DateTime<Utc>)> = sqlx::query_as(
                "WITH reserved AS (
                    INSERT INTO idempotency_keys (scope, key, fingerprint, resource) VALUES ($1, $2, $3, $4)
                    ON CONFLICT DO NOTHING RETURNING fingerprint, resource, created_at
                 )
                 SELECT * FROM reserved
                 UNION ALL
                 SELECT fingerprint, resource, created_at FROM idempotency_keys WHERE scope = $1 AND key = $2
                 LIMIT 1",
            )
            .bind(scope)
            .bind(key)
            .bind(&fingerprint[..])
            .bind(Uuid::now_v7())
            .fetch_optional(&self.pool)
            .await?;
            match row {
                Some((known, resource, at)) if known == fingerprint => return Ok(Reserved { resource, at }),
                Some(_) => return Err(KeyReused::OtherBody),
                None => {}
            }
        }
    }
}
