//! The log as Postgres hands it out fastest: a binary COPY, each row in a message of its own.

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use journal::Position;
use sqlx::PgConnection;

use super::row::COLUMNS;
use crate::Error;

/// Messages of a COPY of `events`, in position order.
pub(crate) struct Copy<'c>(BoxStream<'c, Result<Bytes, sqlx::Error>>);

impl<'c> Copy<'c> {
    /// Rows whose position is in `from..=to`, in order.
    pub async fn of_positions(connection: &'c mut PgConnection, from: Position, to: Position) -> Result<Self, Error> {
        let (from, to) = (from.to_sql().max(0), to.to_sql().max(0));
        Self::of(connection, &format!("position BETWEEN {from} AND {to} ORDER BY position")).await
    }

    /// Rows that `condition` selects. It is built of numbers and of ids that were parsed, never of foreign text.
    pub async fn of(connection: &'c mut PgConnection, condition: &str) -> Result<Self, Error> {
        let statement = format!("COPY (SELECT {COLUMNS} FROM events WHERE {condition}) TO STDOUT (FORMAT binary)");
        Ok(Self(connection.copy_out_raw(&statement).await?))
    }

    /// The next message, to be read by [`super::Row::parse`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.0.next().await.transpose()?)
    }
}
