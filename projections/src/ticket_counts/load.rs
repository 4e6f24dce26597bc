//! All rows of a table at once: out of it into memory, and back by COPY.

use std::{collections::HashMap, fmt::Write as _};

use aggregates::ConcertId;
use chrono::SecondsFormat;
use futures::{TryStreamExt, future::BoxFuture};
use sqlx::{PgConnection, PgPool};

use super::{ConcertView, rows};
use crate::{Error, currency};

/// Bytes of text sent at once, about.
const SENT_BYTES: usize = 256 * 1024;
/// What stands for nothing in the text format of COPY.
const NULL: &str = "\\N";

/// Every row of `table`.
pub(super) async fn all(pool: &PgPool, table: &str) -> Result<HashMap<ConcertId, ConcertView>, Error> {
    let sql = format!("SELECT {} FROM {table}", rows::COLUMNS);
    let mut found = sqlx::query(&sql).fetch(pool);
    let mut all = HashMap::new();
    while let Some(row) = found.try_next().await? {
        let view = rows::from_row(&row)?;
        all.insert(view.id, view);
    }
    Ok(all)
}

/// Puts `views` into `table`, which has none of them.
pub(super) fn copy_in<'a>(
    connection: &'a mut PgConnection,
    table: &'a str,
    views: impl Iterator<Item = &'a ConcertView> + Send + 'a,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let mut copy = connection.copy_in_raw(&format!("COPY {table} ({}) FROM STDIN", rows::COLUMNS)).await?;
        let mut text = String::with_capacity(SENT_BYTES + 1_024);
        for view in views {
            line(&mut text, view);
            if text.len() >= SENT_BYTES {
                copy.send(text.as_bytes()).await?;
                text.clear();
            }
        }
        copy.send(text.as_bytes()).await?;
        copy.finish().await?;
        Ok(())
    })
}

/// One row, in the order of the columns.
fn line(text: &mut String, view: &ConcertView) {
    let or_null = |value: Option<String>| value.unwrap_or_else(|| NULL.to_owned());
    // Writing to a string cannot fail.
    let _infallible = writeln!(
        text,
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        view.id,
        view.organizer_id,
        escaped(&view.name),
        or_null(view.venue.as_deref().map(escaped)),
        // Postgres would round what the live copy cuts off.
        or_null(view.starts_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true))),
        view.price.amount,
        currency::code(view.price.currency),
        or_null(view.max_per_booking.map(|qty| qty.get().to_string())),
        view.hold_seconds,
        view.canceled,
        view.counts.capacity,
        view.counts.held,
        view.counts.sold,
        view.registered_position,
        view.position,
    );
}

/// As the text format wants it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_would_end_a_field_or_a_line_is_escaped() {
        assert_eq!(escaped("a\tb\\N\r\n가을"), "a\\tb\\\\N\\r\\n가을");
    }
}
