//! Projections that are being made anew, as whoever does it writes down.

use journal::Position;
use sqlx::PgConnection;

use super::report::Rebuild;

type Row = (String, String, i32, String, i64, i64, f64, f64);

/// All there are; the table must be there.
pub(super) async fn read(connection: &mut PgConnection) -> Result<Vec<Rebuild>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT projection, place, generation, phase, position, target,
                extract(epoch FROM clock_timestamp() - started_at)::float8,
                extract(epoch FROM clock_timestamp() - updated_at)::float8
         FROM projection_rebuilds ORDER BY projection, place",
    )
    .fetch_all(connection)
    .await?;
    let rebuild = |(projection, place, generation, phase, position, target, seconds, told_seconds_ago): Row| Rebuild {
        projection,
        place: Some(place).filter(|place| !place.is_empty()),
        generation: generation.unsigned_abs(),
        phase,
        position: Position::from_sql(position),
        target: Position::from_sql(target),
        seconds,
        told_seconds_ago,
    };
    Ok(rows.into_iter().map(rebuild).collect())
}
