//! The rows as they are stored, for whoever compares them with the log.

use journal::Position;
use sqlx::PgConnection;

use super::{
    ConcertView,
    rows::{CHECKPOINT, COLUMNS, from_row},
};
use crate::Error;

/// Rows read at once.
const PAGE_ROWS: i64 = 1_000;

/// The stored rows as one connection sees them; its transaction decides of which moment.
pub struct StoredCounts<'c> {
    connection: &'c mut PgConnection,
    /// Up to which position the rows were made; `None` where they never were.
    pub checkpoint: Option<Position>,
    after: i64,
}

impl<'c> StoredCounts<'c> {
    /// Looks how far they have come.
    pub async fn open(connection: &'c mut PgConnection) -> Result<Self, Error> {
        let position: Option<i64> = sqlx::query_scalar("SELECT position FROM checkpoints WHERE name = $1")
            .bind(CHECKPOINT)
            .fetch_optional(&mut *connection)
            .await?;
        Ok(Self { connection, checkpoint: position.map(Position::from_sql), after: i64::MIN })
    }

    /// The next rows, oldest concert first; empty at the end. A row that is not readable is an error of its own, and what
    /// it is of is not known.
    pub async fn next(&mut self) -> Result<Vec<Result<ConcertView, Error>>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ticket_counts_v1 WHERE registered_position > $1 ORDER BY registered_position LIMIT $2"
        );
        let rows = sqlx::query(&sql).bind(self.after).bind(PAGE_ROWS).fetch_all(&mut *self.connection).await?;
        if let Some(last) = rows.last() {
            self.after = sqlx::Row::try_get(last, "registered_position")?;
        }
        Ok(rows.iter().map(from_row).collect())
    }
}
