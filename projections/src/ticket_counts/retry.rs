//! Trying parked events again, in order, with what waited behind them.

use aggregates::{AggregateType, ConcertId, Event, Upcasters};
use futures::future::BoxFuture;
use journal::{Position, ReadError, RecordedEvent, Sequence, read_after, read_stream};
use sqlx::{PgConnection, PgPool};

use super::{
    ConcertView, fold, parking,
    projector::VERSION,
    rows::{self, LIVE, NAME},
};
use crate::{Error, Parked, Retried, wanted};

/// Events of a concert read at once.
const READ_EVENTS_MAX: usize = 4_096;

/// Tries every parked event again, each concert in a transaction of its own: what is now applied is no longer parked, what
/// still cannot be has one more attempt. Works beside the writers in whatever processes, which notice.
pub async fn retry(pool: &PgPool) -> Result<Vec<Retried>, Error> {
    rows::create(pool, VERSION).await?;
    let mut retried = Vec::new();
    for parked in parking::all(pool).await? {
        retried.extend(retry_one(pool, &parked).await?);
    }
    Ok(retried)
}

async fn retry_one(pool: &PgPool, was: &Parked) -> Result<Option<Retried>, Error> {
    let mut transaction = pool.begin().await?;
    lock_out_writers(&mut transaction).await?;
    // Somebody else may have been at it.
    let still: Option<i64> =
        sqlx::query_scalar("SELECT position FROM projection_parked WHERE projection = $1 AND aggregate_id = $2")
            .bind(NAME)
            .bind(was.aggregate_id)
            .fetch_optional(&mut *transaction)
            .await?;
    if still.map(Position::from_sql) != Some(was.position) {
        return Ok(None);
    }
    let (live, _) = rows::place(pool).await?;
    let id = ConcertId(was.aggregate_id);
    let mut row = rows::by_id(pool, &[id]).await?.pop();
    let (mut applied, mut failed) = (0, None);
    let first = read_after(pool, Position(was.position.0 - 1), 1).await?.pop();
    let first = first.ok_or(ReadError::Missing(was.position))?;
    let (mut after, mut left) = (Sequence(first.sequence.0 - 1), 0);
    while failed.is_none() {
        let events = read_stream(pool, AggregateType::Concert, was.aggregate_id, after, READ_EVENTS_MAX).await?;
        let Some(last) = events.last() else { break };
        after = last.sequence;
        let is_last = last.position >= live;
        let due = events
            .iter()
            .filter(|event| event.position <= live && wanted::BY_TICKET_COUNTS.has(event.aggregate, &event.event_type));
        for event in due {
            match failed {
                Some(_) => left += 1,
                None => match apply(&mut row, event) {
                    Ok(()) => applied += 1,
                    Err(reason) => failed = Some((event.clone(), reason)),
                },
            }
        }
        if is_last {
            break;
        }
    }
    let left = failed.map(|(event, error)| parked_again(was, &event, error, left, applied));
    if let Some(row) = row.filter(|_| applied > 0) {
        rows::put(&mut transaction, LIVE, std::slice::from_ref(&row)).await?;
    }
    match &left {
        Some(left) => parking::put(&mut transaction, left).await?,
        None => parking::forget(&mut transaction, Some(was.aggregate_id)).await?,
    }
    // Writers and readers remember rows, and what is parked.
    sqlx::query("UPDATE projection_generations SET revision = revision + 1 WHERE projection = $1 AND state = 'live'")
        .bind(NAME)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Some(Retried { was: was.clone(), left, applied }))
}

/// Keeps writers out of the live table until the transaction ends; readers go on.
pub(super) fn lock_out_writers(connection: &mut PgConnection) -> BoxFuture<'_, Result<(), Error>> {
    Box::pin(async move {
        sqlx::query(&format!("LOCK TABLE {LIVE} IN EXCLUSIVE MODE")).execute(connection).await?;
        Ok(())
    })
}

fn apply(row: &mut Option<ConcertView>, event: &RecordedEvent) -> Result<(), String> {
    let decoded = event.decode(&Upcasters::current()).map_err(|error| error.to_string())?;
    let Event::Concert(decoded) = decoded else { return Ok(()) };
    if let Some(first) = fold::evolve(row.as_mut(), &decoded, event.position)? {
        *row = Some(first);
    }
    Ok(())
}

/// The same event once more, or a later one that is now the first that cannot be applied.
fn parked_again(was: &Parked, event: &RecordedEvent, error: String, behind: u64, applied: u64) -> Parked {
    let same = event.position == was.position;
    Parked {
        position: event.position,
        event_type: event.event_type.to_string(),
        error,
        attempts: if same { was.attempts + 1 } else { 1 },
        waiting: if same { was.waiting } else { behind.max(was.waiting.saturating_sub(applied)) },
        ..was.clone()
    }
}
