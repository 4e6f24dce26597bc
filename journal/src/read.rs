//! Plain reads of the log.

use aggregates::{AggregateType, Decide, Upcasters};
use postgres_es::PostgresEventRepository;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{Position, ReadError, RecordedEvent, Sequence, load::load};

/// The position of the last committed event; 0 where there is none.
pub async fn last_position(pool: &PgPool) -> Result<Position, ReadError> {
    let position: i64 = sqlx::query_scalar("SELECT position FROM journal_head").fetch_one(pool).await?;
    Ok(Position::from_sql(position))
}

/// Events after `position`, in order, `max` at most.
pub async fn read_after(pool: &PgPool, position: Position, max: usize) -> Result<Vec<RecordedEvent>, ReadError> {
    let sql = format!("SELECT {} FROM events WHERE position > $1 ORDER BY position LIMIT $2", RecordedEvent::COLUMNS);
    let rows =
        sqlx::query(&sql).bind(position.to_sql()).bind(i64::try_from(max).unwrap_or(i64::MAX)).fetch_all(pool).await?;
    Ok(rows.iter().map(RecordedEvent::from_row).collect::<Result<_, _>>()?)
}

/// All events of one aggregate, in order.
pub async fn history(pool: &PgPool, aggregate: AggregateType, id: Uuid) -> Result<Vec<RecordedEvent>, ReadError> {
    let sql = format!(
        "SELECT {} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY sequence",
        RecordedEvent::COLUMNS
    );
    let rows = sqlx::query(&sql).bind(aggregate.as_str()).bind(id.to_string()).fetch_all(pool).await?;
    Ok(rows.iter().map(RecordedEvent::from_row).collect::<Result<_, _>>()?)
}

/// Events of one aggregate after its `sequence`, in order, `max` at most.
pub async fn read_stream(
    pool: &PgPool,
    aggregate: AggregateType,
    id: Uuid,
    sequence: Sequence,
    max: usize,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let sql = format!(
        "SELECT {} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3
         ORDER BY sequence LIMIT $4",
        RecordedEvent::COLUMNS
    );
    let rows = sqlx::query(&sql)
        .bind(aggregate.as_str())
        .bind(id.to_string())
        .bind(sequence.to_sql())
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await?;
    Ok(rows.iter().map(RecordedEvent::from_row).collect::<Result<_, _>>()?)
}

/// An aggregate as its durable events have made it, for who only reads and has no journal open.
pub async fn state<A: Decide>(pool: &PgPool, id: Uuid) -> Result<A, ReadError> {
    let repository = PostgresEventRepository::new(pool.clone());
    Ok(load::<A>(pool, &repository, &Upcasters::current(), id).await?.state)
}
