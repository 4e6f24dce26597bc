//! Events as they are told: in order, with who, when and why.

use std::collections::BTreeMap;

use aggregates::{AggregateType, ConcertId, Event, Upcasters, UserId};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use journal::{Position, Sequence};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::Error;

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload::text, metadata::text FROM events WHERE ",
            $which
        )
    };
}

macro_rules! select_range {
    ($which:literal, $order:literal) => {
        concat!(
            select!($which),
            " AND position BETWEEN $3 AND $4 AND recorded_at BETWEEN $5 AND $6 ORDER BY ",
            $order,
            " LIMIT $7"
        )
    };
}

const OF_AGGREGATE: &str = select_range!("aggregate_type = $1 AND aggregate_id = $2", "sequence");
const OF_USER: &str = select_range!("aggregate_type = $1 AND (payload -> event_type) ->> 'userId' = $2", "position");
const OF_CONCERT: &str =
    select_range!("aggregate_type = $1 AND (payload -> event_type) ->> 'concertId' = $2", "position");
const AT_POSITION: &str = select!("position = $1");

/// Of any event, when no later time is asked for: no log is older or younger.
const TIMES: (i64, i64) = (-62_135_596_800, 253_402_300_799);

/// Whose events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One aggregate's.
    Aggregate(AggregateType, Uuid),
    /// Those of all bookings of a user.
    BookingsOfUser(UserId),
    /// Those of all bookings of a concert.
    BookingsOfConcert(ConcertId),
}

/// Which of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Not before this position.
    pub from: Option<Position>,
    /// Not after this position.
    pub to: Option<Position>,
    /// Not recorded before this time.
    pub since: Option<DateTime<Utc>>,
    /// Not recorded after this time.
    pub until: Option<DateTime<Utc>>,
    /// So many at most.
    pub limit: Option<u32>,
}

/// An event as it is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Place in the log.
    pub position: Position,
    /// When it was committed.
    pub recorded_at: DateTime<Utc>,
    /// Kind of its aggregate.
    pub aggregate: AggregateType,
    /// Its aggregate.
    pub aggregate_id: Uuid,
    /// Place in its aggregate's stream.
    pub sequence: Sequence,
    /// Its name.
    pub event_type: String,
    /// The version in which it was written.
    pub event_version: String,
    /// Who.
    pub actor: Option<String>,
    /// What it follows from directly.
    pub causation: Option<String>,
    /// The request at the beginning of it all.
    pub correlation: Option<String>,
    /// What it says, without its name; personal data stays sealed.
    pub payload: Value,
    /// The stored text, to be decoded.
    #[serde(skip)]
    pub(crate) stored: String,
}

impl Told {
    /// The event in today's shape.
    pub fn decode(&self, upcasters: &Upcasters) -> Result<Event, Error> {
        Event::decode(upcasters, self.aggregate, &self.event_type, &self.event_version, &self.stored)
            .map_err(|source| Error::Decode { position: self.position, source })
    }

    fn from_row(row: &PgRow) -> Result<Self, Error> {
        let position = Position::from_sql(row.try_get(0)?);
        let foreign = || Error::Row(position);
        let stored: String = row.try_get(7)?;
        let metadata: BTreeMap<String, Value> = serde_json::from_str(row.try_get(8)?).unwrap_or_default();
        let said = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let event_type: String = row.try_get(5)?;
        let mut payload: Value = serde_json::from_str(&stored).map_err(|_| foreign())?;
        let inner = payload.get_mut(&event_type).map(Value::take);
        Ok(Self {
            position,
            recorded_at: row.try_get(1)?,
            aggregate: row.try_get::<&str, _>(2)?.parse().map_err(|_| foreign())?,
            aggregate_id: row.try_get::<&str, _>(3)?.parse().map_err(|_| foreign())?,
            sequence: Sequence::from_sql(row.try_get(4)?),
            event_version: row.try_get(6)?,
            actor: said("actor"),
            causation: said("causation"),
            correlation: said("correlation"),
            payload: inner.unwrap_or(payload),
            event_type,
            stored,
        })
    }

    /// What it says in a few words: its own fields, without the ids of whom it is about anyway.
    pub fn in_short(&self) -> String {
        let Value::Object(fields) = &self.payload else { return String::new() };
        let own = fields.iter().filter(|(name, _)| !name.ends_with("Id"));
        let words = own.map(|(name, value)| match (name.as_str(), value) {
            ("name" | "email", _) if self.aggregate == AggregateType::User => format!("{name} (sealed)"),
            (_, Value::String(text)) => format!("{name} {text}"),
            (_, Value::Object(money)) if money.contains_key("currency") => {
                let currency = money["currency"].as_str().unwrap_or_default();
                format!("{name} {} {currency}", money.get("amount").unwrap_or(&Value::Null))
            }
            (_, other) => format!("{name} {other}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Events in order, as they come.
pub fn events(connection: &mut PgConnection, whose: Whose, range: Range) -> BoxStream<'_, Result<Told, Error>> {
    let (sql, kind, id) = match whose {
        Whose::Aggregate(kind, id) => (OF_AGGREGATE, kind, id),
        Whose::BookingsOfUser(id) => (OF_USER, AggregateType::Booking, id.0),
        Whose::BookingsOfConcert(id) => (OF_CONCERT, AggregateType::Booking, id.0),
    };
    let time = |at: Option<DateTime<Utc>>, seconds| at.or(DateTime::from_timestamp(seconds, 0)).unwrap_or_default();
    let position =
        |at: Option<Position>, default: i64| at.map_or(default, |at| i64::try_from(at.0).unwrap_or(i64::MAX));
    let Range { from, to, since, until, limit } = range;
    sqlx::query(sql)
        .bind(kind.as_str())
        .bind(id.to_string())
        .bind(position(from, 0))
        .bind(position(to, i64::MAX))
        .bind(time(since, TIMES.0))
        .bind(time(until, TIMES.1))
        .bind(limit.map_or(i64::MAX, i64::from))
        .fetch(connection)
        .map(|row| Told::from_row(&row?))
        .boxed()
}

/// The one event at a position.
pub async fn event_at(connection: &mut PgConnection, position: Position) -> Result<Option<Told>, Error> {
    let row = sqlx::query(AT_POSITION).bind(position.to_sql()).fetch_optional(connection).await?;
    row.as_ref().map(Told::from_row).transpose()
}

/// All events of one aggregate; an error where there are none.
pub async fn history(connection: &mut PgConnection, kind: AggregateType, id: Uuid) -> Result<Vec<Told>, Error> {
    let told: Vec<Told> = events(connection, Whose::Aggregate(kind, id), Range::default()).try_collect().await?;
    if told.is_empty() { Err(Error::NoSuch(kind, id)) } else { Ok(told) }
}
