//! The rows as they are stored, for whoever compares them with the log.

use journal::Position;
use sqlx::{PgConnection, postgres::types::Oid};

use super::{
    ConcertView, parking,
    rows::{CHECKPOINT, COLUMNS, LIVE, from_row},
};
use crate::{Error, Parked};

/// Rows read at once.
const PAGE_ROWS: i64 = 1_000;
/// Renames of the table between asking for its name and reading from it, at most: each is a whole rebuild.
const RENAMES_MAX: u32 = 10;

/// The stored rows as one connection sees them; its transaction decides of which moment. A rebuild that switches meanwhile
/// renames the table, which is read on under its other name: what it then is called like is of another moment.
pub struct StoredCounts<'c> {
    connection: &'c mut PgConnection,
    /// Up to which position the rows were made; `None` where they never were.
    pub checkpoint: Option<Position>,
    /// What could not be projected: the rows of these concerts are not of the checkpoint, but of right before the event.
    pub parked: Vec<Parked>,
    table: Option<Oid>,
    after: i64,
}

impl<'c> StoredCounts<'c> {
    /// Looks how far they have come.
    pub async fn open(connection: &'c mut PgConnection) -> Result<Self, Error> {
        let position: Option<i64> = sqlx::query_scalar("SELECT position FROM checkpoints WHERE name = $1")
            .bind(CHECKPOINT)
            .fetch_optional(&mut *connection)
            .await?;
        let table = table_named(connection, LIVE).await?;
        // A database that was never opened by a version that parks has none.
        let parked = match table_named(connection, "projection_parked").await? {
            Some(_) => parking::all(&mut *connection).await?,
            None => Vec::new(),
        };
        Ok(Self { connection, checkpoint: position.map(Position::from_sql), parked, table, after: i64::MIN })
    }

    /// The next rows, oldest concert first; empty at the end. A row that is not readable is an error of its own, and what
    /// it is of is not known.
    pub async fn next(&mut self) -> Result<Vec<Result<ConcertView, Error>>, Error> {
        let Some(table) = self.table else { return Ok(Vec::new()) };
        let mut name = self.name_of(table).await?;
        let mut renames = 0;
        let rows = loop {
            let sql = format!(
                "SELECT {COLUMNS} FROM {name} WHERE registered_position > $1 ORDER BY registered_position LIMIT $2"
            );
            let rows = sqlx::query(&sql).bind(self.after).bind(PAGE_ROWS).fetch_all(&mut *self.connection).await?;
            // Who has read from it keeps a rename out until the transaction ends.
            let now = self.name_of(table).await?;
            if now == name || renames == RENAMES_MAX {
                break rows;
            }
            (name, renames) = (now, renames + 1);
        };
        if let Some(last) = rows.last() {
            self.after = sqlx::Row::try_get(last, "registered_position")?;
        }
        Ok(rows.iter().map(from_row).collect())
    }

    /// What a table is called now.
    async fn name_of(&mut self, table: Oid) -> Result<String, Error> {
        Ok(sqlx::query_scalar("SELECT $1::regclass::text").bind(table).fetch_one(&mut *self.connection).await?)
    }
}

/// The table that had this name at the moment that the transaction sees: names are otherwise those of now.
async fn table_named(connection: &mut PgConnection, name: &str) -> Result<Option<Oid>, Error> {
    Ok(sqlx::query_scalar(
        "SELECT oid FROM pg_class WHERE relname = $1 AND relnamespace = current_schema()::regnamespace",
    )
    .bind(name)
    .fetch_optional(connection)
    .await?)
}
