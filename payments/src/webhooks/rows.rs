//! The rows of webhooks that are to be heeded, and what is written on them.

use std::collections::HashMap;

use aggregates::PaymentId;
use chrono::{DateTime, Duration, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::Change;
use crate::due::{backoff, stored_reason};

/// Webhooks taken from the table at once, at most.
const ROUND_MAX: i64 = 128;

/// A webhook to be heeded.
pub(super) struct Row {
    pub change: Change,
    /// When it was due: if that has changed, there is news since it was read.
    due_at: DateTime<Utc>,
    /// It stands for others that are not kept.
    pub stands_for_more: bool,
    /// How often it was tried before, in vain.
    pub tries: i32,
}

/// What came of heeding one.
pub(super) enum Heeded {
    /// What follows is done. With a reason, a person must look.
    Done(Option<&'static str>),
    /// It is too early to say; look again after this.
    NotYet(Duration),
    /// Nothing, for this reason; look again a little later.
    Later(String),
}

#[derive(FromRow)]
struct Stored {
    payment_id: Uuid,
    payment_key: String,
    status: String,
    transaction_key: String,
    due_at: DateTime<Utc>,
    stands_for_more: bool,
    tries: i32,
}

/// What is due now, by payment: one look is enough for all that was told of it.
pub(super) async fn due(pool: &PgPool) -> Result<HashMap<PaymentId, Vec<Row>>, sqlx::Error> {
    let rows: Vec<Stored> = sqlx::query_as(
        "SELECT payment_id, payment_key, status, transaction_key, due_at, stands_for_more, tries
         FROM payment_webhooks WHERE heeded_at IS NULL AND due_at <= now() ORDER BY due_at LIMIT $1",
    )
    .bind(ROUND_MAX)
    .fetch_all(pool)
    .await?;
    let mut due: HashMap<PaymentId, Vec<Row>> = HashMap::new();
    for Stored { payment_id, payment_key, status, transaction_key, due_at, stands_for_more, tries } in rows {
        let payment = PaymentId(payment_id);
        let change = Change { payment, payment_key, status, transaction_key };
        due.entry(payment).or_default().push(Row { change, due_at, stands_for_more, tries });
    }
    Ok(due)
}

/// Writes down what came of these, but not where there is news since they were read. Planned anew each time: a plan that was
/// right while the table was empty reads all of it when it is full.
pub(super) async fn write_down(pool: &PgPool, heeded: &[(Vec<Row>, Heeded)]) -> Result<(), sqlx::Error> {
    let now = Utc::now();
    let mut columns = Columns::default();
    for (row, outcome) in heeded.iter().flat_map(|(rows, outcome)| rows.iter().map(move |row| (row, outcome))) {
        match outcome {
            Heeded::Done(person) => columns.push(row, true, row.due_at, person.map(stored_reason)),
            Heeded::NotYet(wait) => columns.push(row, false, now + *wait, None),
            Heeded::Later(why) => columns.push(row, false, now + backoff(row.tries), Some(stored_reason(why))),
        }
    }
    if columns.payments.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE payment_webhooks AS kept
         SET heeded_at = CASE WHEN news.is_heeded THEN now() END, due_at = news.due_at, last_error = news.error,
             tries = kept.tries + CASE WHEN news.is_heeded OR news.error IS NULL THEN 0 ELSE 1 END
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::boolean[],
                     $7::timestamptz[], $8::text[])
              AS news (payment_id, payment_key, status, transaction_key, seen, is_heeded, due_at, error)
         WHERE kept.payment_id = news.payment_id AND kept.payment_key = news.payment_key
           AND kept.status = news.status AND kept.transaction_key = news.transaction_key
           AND kept.due_at = news.seen",
    )
    .bind(columns.payments)
    .bind(columns.payment_keys)
    .bind(columns.statuses)
    .bind(columns.transaction_keys)
    .bind(columns.seen)
    .bind(columns.is_heeded)
    .bind(columns.due_at)
    .bind(columns.errors)
    .persistent(false)
    .execute(pool)
    .await?;
    Ok(())
}

#[derive(Default)]
struct Columns<'a> {
    payments: Vec<Uuid>,
    payment_keys: Vec<&'a str>,
    statuses: Vec<&'a str>,
    transaction_keys: Vec<&'a str>,
    seen: Vec<DateTime<Utc>>,
    is_heeded: Vec<bool>,
    due_at: Vec<DateTime<Utc>>,
    errors: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, row: &'a Row, is_heeded: bool, due_at: DateTime<Utc>, error: Option<String>) {
        self.payments.push(row.change.payment.0);
        self.payment_keys.push(&row.change.payment_key);
        self.statuses.push(&row.change.status);
        self.transaction_keys.push(&row.change.transaction_key);
        self.seen.push(row.due_at);
        self.is_heeded.push(is_heeded);
        self.due_at.push(due_at);
        self.errors.push(error);
    }
}
