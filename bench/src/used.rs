//! A Postgres that has been in use for a while.
//!
//! A new one makes each file of its own log when it first comes to it, which stops whoever writes for a tenth of a second or
//! more, and later uses them again. A sale on a database that was made a minute ago is not what is to be measured.

use sqlx::{Connection as _, PgConnection};

use crate::{error::Error, product::Product};

/// Bytes in a message of the filling.
const MESSAGE_BYTES: i32 = 32 * 30_000;
/// Messages in a statement.
const MESSAGES_AT_ONCE: i32 = 100;

/// Writes Postgres' log as long as it is kept (`min_wal_size`), and has it start over.
pub(crate) async fn fill(product: &Product) -> Result<(), Error> {
    let mut connection = PgConnection::connect(product.setting("DATABASE_URL")?).await?;
    let kept: i64 =
        sqlx::query_scalar("SELECT pg_size_bytes(current_setting('min_wal_size'))").fetch_one(&mut connection).await?;
    let mut written = 0;
    while written < kept {
        sqlx::query(
            "SELECT count(pg_logical_emit_message(false, 'bench', repeat(md5(n::text), $1 / 32)))
             FROM generate_series(1, $2) AS n",
        )
        .bind(MESSAGE_BYTES)
        .bind(MESSAGES_AT_ONCE)
        .execute(&mut connection)
        .await?;
        written += i64::from(MESSAGE_BYTES) * i64::from(MESSAGES_AT_ONCE);
    }
    sqlx::query("CHECKPOINT").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
