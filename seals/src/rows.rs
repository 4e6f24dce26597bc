//! The rows in Postgres.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{HASH_BYTES, Hash, SealError, VerifierKey, reader::Signed, sealer::CHECKPOINT, tile::TileId};

/// What every log's name begins with.
const ORIGIN_PREFIX: &str = "boxoffice/";
/// Postgres' code for a key that is there already.
const UNIQUE_VIOLATION: &str = "23505";
/// Postgres' code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";
/// The columns of a checkpoint.
const SIGNED: &str = "SELECT number, size, root, note, signed_at FROM seal_checkpoints";

/// A public key that signed, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: VerifierKey,
    /// When it first signed, by the clock of Postgres.
    pub since: DateTime<Utc>,
    /// The size of the first tree that it signed.
    pub since_size: u64,
}

/// Creates the tables if need be, and the log's name, which is the answer.
pub async fn create(pool: &PgPool) -> Result<String, SealError> {
    journal::create_tables(pool, "seals", include_str!("schema.sql")).await?;
    sqlx::query("INSERT INTO seal_log (origin) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(format!("{ORIGIN_PREFIX}{}", Uuid::new_v4()))
        .execute(pool)
        .await?;
    let mut connection = pool.acquire().await?;
    origin(&mut connection).await
}

/// The log's name.
pub(crate) async fn origin(connection: &mut PgConnection) -> Result<String, SealError> {
    let origin: Option<String> =
        sqlx::query_scalar("SELECT origin FROM seal_log").fetch_optional(connection).await.map_err(no_seals)?;
    origin.ok_or(SealError::NoSeals)
}

fn no_seals(error: sqlx::Error) -> SealError {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some(UNDEFINED_TABLE) => SealError::NoSeals,
        Some(_) | None => error.into(),
    }
}

/// The public keys that ever signed, oldest first.
pub async fn known_keys(connection: &mut PgConnection) -> Result<Vec<KnownKey>, SealError> {
    let rows: Vec<(String, DateTime<Utc>, i64)> =
        sqlx::query_as("SELECT verifier, since, since_size FROM seal_keys ORDER BY since, verifier")
            .fetch_all(connection)
            .await
            .map_err(no_seals)?;
    // A row that is no key was not written by us, and verifies nothing.
    let known = rows.into_iter().filter_map(|(text, since, since_size)| {
        Some(KnownKey { key: VerifierKey::parse(&text)?, since, since_size: since_size.cast_unsigned() })
    });
    Ok(known.collect())
}

fn signed(row: &PgRow) -> Result<Signed, sqlx::Error> {
    let root: Vec<u8> = row.try_get("root")?;
    let root = root.try_into().map_err(|_| sqlx::Error::Decode("a root has 32 bytes".into()))?;
    Ok(Signed {
        number: row.try_get::<i64, _>("number")?.cast_unsigned(),
        size: row.try_get::<i64, _>("size")?.cast_unsigned(),
        root: Hash(root),
        note: row.try_get("note")?,
        signed_at: row.try_get("signed_at")?,
    })
}

/// The newest checkpoint.
pub(crate) async fn newest(connection: &mut PgConnection) -> Result<Option<Signed>, SealError> {
    let row = sqlx::query(&format!("{SIGNED} ORDER BY number DESC LIMIT 1")).fetch_optional(connection).await;
    Ok(row.map_err(no_seals)?.as_ref().map(signed).transpose()?)
}

/// The checkpoints after number `after`, at most `max`, up to number `last`.
pub(crate) async fn checkpoints(
    connection: &mut PgConnection,
    after: u64,
    last: u64,
    max: i64,
) -> Result<Vec<Signed>, SealError> {
    let rows = sqlx::query(&format!("{SIGNED} WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3"))
        .bind(after.cast_signed())
        .bind(last.cast_signed())
        .bind(max)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(signed).collect::<Result<_, _>>()?)
}

/// The checkpoints of these numbers, those that there are.
pub(crate) async fn numbered(
    connection: &mut PgConnection,
    numbers: impl Iterator<Item = u64>,
) -> Result<BTreeMap<u64, Signed>, SealError> {
    let numbers: Vec<i64> = numbers.map(u64::cast_signed).collect();
    let rows = sqlx::query(&format!("{SIGNED} WHERE number = ANY($1)")).bind(numbers).fetch_all(connection).await?;
    let signed = rows.iter().map(|row| signed(row).map(|signed| (signed.number, signed)));
    Ok(signed.collect::<Result<_, _>>()?)
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    let (hashes, _) = bytes.as_chunks::<HASH_BYTES>();
    hashes.iter().copied().map(Hash).collect()
}

/// These tiles as they are stored, those that are.
pub(crate) async fn tiles(
    connection: &mut PgConnection,
    ids: impl Iterator<Item = TileId>,
) -> Result<BTreeMap<TileId, Vec<Hash>>, SealError> {
    let (levels, indexes): (Vec<i16>, Vec<i64>) = ids.map(|id| (i16::from(id.level), id.index.cast_signed())).unzip();
    let rows: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT level, nth, hashes FROM seal_tiles JOIN UNNEST($1::smallint[], $2::bigint[]) AS wanted (level, nth)
         USING (level, nth)",
    )
    .bind(levels)
    .bind(indexes)
    .fetch_all(connection)
    .await?;
    let tile = |(level, nth, bytes): (i16, i64, Vec<u8>)| {
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        (TileId { level, index: nth.cast_unsigned() }, hashes(&bytes))
    };
    Ok(rows.into_iter().map(tile).collect())
}

/// Tiles, checkpoint and keys in one transaction, as the one after `before`; [`SealError::Raced`] where another was first.
pub(crate) async fn commit(
    pool: &PgPool,
    before: Option<&Signed>,
    next: &Signed,
    tiles: &[(TileId, Vec<Hash>)],
    keys: &[VerifierKey],
) -> Result<(), SealError> {
    let mut transaction = pool.begin().await?;
    let inserted =
        sqlx::query("INSERT INTO seal_checkpoints (number, size, root, note, signed_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(next.number.cast_signed())
            .bind(next.size.cast_signed())
            .bind(&next.root.0[..])
            .bind(&next.note)
            .bind(next.signed_at)
            .execute(&mut *transaction)
            .await;
    match inserted {
        Ok(_) => {}
        Err(error) if is_unique_violation(&error) => return Err(SealError::Raced),
        Err(error) => return Err(error.into()),
    }
    let moved = sqlx::query("UPDATE checkpoints SET position = $3 WHERE name = $1 AND position = $2")
        .bind(CHECKPOINT)
        .bind(before.map_or(0, |before| before.size.cast_signed()))
        .bind(next.size.cast_signed())
        .execute(&mut *transaction)
        .await?;
    if moved.rows_affected() != 1 {
        return Err(SealError::Raced);
    }
    let (mut levels, mut indexes, mut contents) = (Vec::new(), Vec::new(), Vec::new());
    for (id, hashes) in tiles {
        levels.push(i16::from(id.level));
        indexes.push(id.index.cast_signed());
        contents.push(hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>());
    }
    sqlx::query(
        "INSERT INTO seal_tiles (level, nth, hashes) SELECT * FROM UNNEST($1::smallint[], $2::bigint[], $3::bytea[])
         ON CONFLICT (level, nth) DO UPDATE SET hashes = excluded.hashes",
    )
    .bind(levels)
    .bind(indexes)
    .bind(contents)
    .execute(&mut *transaction)
    .await?;
    for key in keys {
        sqlx::query(
            "INSERT INTO seal_keys (verifier, since, since_size) VALUES ($1, now(), $2) ON CONFLICT DO NOTHING",
        )
        .bind(key.as_str())
        .bind(next.size.cast_signed())
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(UNIQUE_VIOLATION)
}
