//! A concert's tickets over time: what was sold, held and available after each event that changed it.

use aggregates::{AggregateType, ConcertId, Event, Upcasters};
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use journal::Position;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    Error,
    events::{Range, Whose, events},
    tally::{Tally, Tickets},
};

/// Tickets after one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Of that event.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Tickets there are.
    pub capacity: i64,
    /// Set aside, not yet paid.
    pub held: i64,
    /// Paid and approved.
    pub sold: i64,
    /// Tickets nobody has.
    pub available: i64,
}

/// Hands out each point as it comes, and in the end the concert.
pub async fn curve(
    connection: &mut PgConnection,
    concert: ConcertId,
    mut each: impl FnMut(Point) -> Result<(), Error>,
) -> Result<Tally, Error> {
    let upcasters = Upcasters::current();
    let (mut tally, mut before) = (Tally::default(), None);
    let mut told = events(connection, Whose::Aggregate(AggregateType::Concert, concert.0), Range::default());
    while let Some(event) = told.try_next().await? {
        let Event::Concert(decoded) = event.decode(&upcasters)? else { continue };
        tally.push(decoded);
        let tickets = tally.tickets;
        if before.replace(tickets) != Some(tickets) {
            let Tickets { capacity, held, sold, available } = tickets;
            let (position, recorded_at) = (event.position, event.recorded_at);
            each(Point { position, recorded_at, capacity, held, sold, available })?;
        }
    }
    if tally.terms.is_none() { Err(Error::NoSuch(AggregateType::Concert, concert.0)) } else { Ok(tally) }
}

/// Points of a picture, at most; a concert may have a million.
const POINTS_MAX: usize = 4_000;

/// Points for a picture, which shows no more of them than it has room for.
#[derive(Default)]
pub struct Thinned {
    kept: Vec<Point>,
    last: Option<Point>,
    seen: usize,
    /// Of how many one is kept, but for the first.
    doublings: u32,
}

impl Thinned {
    /// Takes the next point. When there are too many every second goes, and of the next only as many are kept.
    pub fn push(&mut self, point: Point) {
        if self.seen.is_multiple_of(1 << self.doublings) {
            self.kept.push(point);
        }
        self.last = Some(point);
        self.seen += 1;
        if self.kept.len() > POINTS_MAX {
            let mut nth = 0_usize;
            self.kept.retain(|_| {
                nth += 1;
                !nth.is_multiple_of(2)
            });
            self.doublings += 1;
        }
    }

    /// Those that were kept, in order, and the last in any case: it is how things are.
    pub fn into_points(mut self) -> Vec<Point> {
        if self.kept.last() != self.last.as_ref() {
            self.kept.extend(self.last);
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_few_points_the_first_and_the_last_among_them() {
        let mut thinned = Thinned::default();
        for n in 1..=100_000 {
            let recorded_at = DateTime::from_timestamp_nanos(0);
            thinned.push(Point { position: Position(n), recorded_at, capacity: 0, held: 0, sold: 0, available: 0 });
        }
        let points = thinned.into_points();
        assert!((POINTS_MAX / 2..=POINTS_MAX + 1).contains(&points.len()), "{}", points.len());
        assert_eq!((points[0].position, points[points.len() - 1].position), (Position(1), Position(100_000)));
        assert!(points.windows(2).all(|pair| pair[0].position < pair[1].position));
    }
}
