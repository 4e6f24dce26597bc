//! Tables beside the log, of whoever follows it: each room makes its own.

use futures::future::BoxFuture;
use sqlx::{Executor as _, PgPool};

/// Creates what `sql`, which may be several statements, says `IF NOT EXISTS`. Processes that start together do so one
/// after the other, told apart by `name`: by itself `IF NOT EXISTS` lets them collide.
pub fn create_tables<'a>(pool: &'a PgPool, name: &'a str, sql: &'static str) -> BoxFuture<'a, Result<(), sqlx::Error>> {
    Box::pin(async move {
        let mut transaction = pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('boxoffice'), hashtext($1))")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        transaction.execute(sql).await?;
        transaction.commit().await
    })
}
