//! How far a follower has come, kept in Postgres beside its effect.

use sqlx::PgPool;

use crate::Position;

/// Where the checkpoint `name` is; it is created at 0 where there is none yet.
pub async fn checkpoint(pool: &PgPool, name: &str) -> Result<Position, sqlx::Error> {
    // Two statements: one that another process created meanwhile is seen only by the second.
    sqlx::query("INSERT INTO checkpoints (name, position) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .execute(pool)
        .await?;
    let position: i64 =
        sqlx::query_scalar("SELECT position FROM checkpoints WHERE name = $1").bind(name).fetch_one(pool).await?;
    Ok(Position::from_sql(position))
}
