//! The tables of the accounts.

use std::{collections::HashSet, time::Duration};

use aggregates::{Role, UserId};
use futures::future::BoxFuture;
use journal::{Attachment, create_tables};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::secret::Secret;

/// The constraint that keeps an e-mail from being used twice.
pub const EMAIL_UNIQUE: &str = "credentials_email";

/// Creates the tables if need be.
pub async fn create(pool: &PgPool) -> Result<(), sqlx::Error> {
    create_tables(pool, "accounts", include_str!("schema.sql")).await
}

/// The installation's secret as the database keeps it, made if there is none.
pub async fn installation_secret(pool: &PgPool) -> Result<Option<Secret>, sqlx::Error> {
    create(pool).await?;
    sqlx::query("INSERT INTO installation (secret) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(Secret::random().to_hex())
        .execute(pool)
        .await?;
    let text: String = sqlx::query_scalar("SELECT secret FROM installation").fetch_one(pool).await?;
    Ok(Secret::from_hex(&text))
}

/// What a sign-in is checked against.
pub struct Credential {
    pub user_id: UserId,
    pub password_hash: String,
    pub role: Role,
}

/// Rows of a new account, committed with `UserRegistered`.
pub struct Opened {
    pub user_id: UserId,
    pub email_hash: [u8; 32],
    pub password_hash: String,
    pub role: Role,
    pub key: [u8; 32],
}

impl Attachment for Opened {
    fn write<'a>(&'a self, transaction: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async {
            sqlx::query("INSERT INTO credentials (user_id, email_hash, password_hash, role) VALUES ($1, $2, $3, $4)")
                .bind(self.user_id.0)
                .bind(&self.email_hash[..])
                .bind(&self.password_hash)
                .bind(self.role.as_str())
                .execute(&mut *transaction)
                .await?;
            sqlx::query("INSERT INTO user_keys (user_id, key) VALUES ($1, $2)")
                .bind(self.user_id.0)
                .bind(&self.key[..])
                .execute(transaction)
                .await?;
            Ok(())
        })
    }
}

/// Rows that go with `UserErased`.
pub struct Removed {
    pub user_id: UserId,
}

impl Attachment for Removed {
    fn write<'a>(&'a self, transaction: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async {
            for sql in [
                "DELETE FROM credentials WHERE user_id = $1",
                "DELETE FROM user_keys WHERE user_id = $1",
                "INSERT INTO erased_users (user_id) VALUES ($1) ON CONFLICT DO NOTHING",
            ] {
                sqlx::query(sql).bind(self.user_id.0).execute(&mut *transaction).await?;
            }
            Ok(())
        })
    }
}

/// The credential of an e-mail.
pub async fn credential(pool: &PgPool, email_hash: [u8; 32]) -> Result<Option<Credential>, sqlx::Error> {
    let row: Option<(Uuid, String, String)> =
        sqlx::query_as("SELECT user_id, password_hash, role FROM credentials WHERE email_hash = $1")
            .bind(&email_hash[..])
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(user_id, password_hash, role)| Credential {
        user_id: UserId(user_id),
        password_hash,
        role: if role == Role::Organizer.as_str() { Role::Organizer } else { Role::Fan },
    }))
}

/// The key of a user; `None` once they are erased.
pub async fn key(pool: &PgPool, user_id: UserId) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let key: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT key FROM user_keys WHERE user_id = $1").bind(user_id.0).fetch_optional(pool).await?;
    Ok(key.and_then(|key| key.try_into().ok()))
}

/// Users erased within the last `age`.
pub async fn erased_within(pool: &PgPool, age: Duration) -> Result<HashSet<UserId>, sqlx::Error> {
    let users: Vec<Uuid> =
        sqlx::query_scalar("SELECT user_id FROM erased_users WHERE erased_at > now() - $1::interval")
            .bind(age)
            .fetch_all(pool)
            .await?;
    Ok(users.into_iter().map(UserId).collect())
}
