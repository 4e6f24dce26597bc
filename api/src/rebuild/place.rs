//! How to reach what is rebuilt.

use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::status::place::Source;

/// Connections that a command has at once, at most.
const CONNECTIONS_MAX: u32 = 6;

/// Connections to the journal's database, known there as `session`; or what is wrong.
pub(crate) async fn pool(source: &Source, session: &str) -> Result<PgPool, String> {
    let options = source.database(session).map_err(|error| error.to_string())?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await;
    pool.map_err(|error| format!("Postgres (DATABASE_URL in {}) cannot be used: {error}", source.name))
}
