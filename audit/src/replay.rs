//! An aggregate as it was then: its events applied again, up to a position or a time.

use std::collections::BTreeMap;

use aggregates::{AggregateType, Booking, Event, Payment, Upcasters, User};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate as _;
use futures::TryStreamExt as _;
use journal::{Position, Sequence};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    events::{Range, Told, Whose, events},
    tally::Tally,
};

/// When.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// As far as the log goes.
    #[default]
    End,
    /// Right after this position.
    Position(Position),
    /// At this time.
    Time(DateTime<Utc>),
}

/// An aggregate as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Its kind.
    pub aggregate: AggregateType,
    /// Which one.
    pub id: Uuid,
    /// Position of its last event by then.
    pub position: Position,
    /// When that was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Place of that event in its own stream.
    pub sequence: Sequence,
    /// What it was.
    pub state: Value,
}

/// What one event changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where it stands.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Its name.
    pub event_type: String,
    /// By the path of each field, what it was and what it became; `null` where it was not, or is no more.
    pub changes: BTreeMap<String, (Value, Value)>,
}

/// Applies the events of an aggregate again. `each` is told of each, where it is wanted.
pub async fn replay(
    connection: &mut PgConnection,
    kind: AggregateType,
    id: Uuid,
    at: At,
    mut each: Option<&mut (dyn FnMut(Change) -> Result<(), Error> + Send)>,
) -> Result<Replayed, Error> {
    let range = match at {
        At::End => Range::default(),
        At::Position(position) => Range { to: Some(position), ..Range::default() },
        At::Time(time) => Range { until: Some(time), ..Range::default() },
    };
    let upcasters = Upcasters::current();
    let mut state = State::new(kind);
    let mut shown = Value::Null;
    let mut last: Option<(Position, DateTime<Utc>, Sequence)> = None;
    let mut told = events(connection, Whose::Aggregate(kind, id), range);
    while let Some(event) = told.try_next().await? {
        state.push(event.decode(&upcasters)?);
        last = Some((event.position, event.recorded_at, event.sequence));
        if let Some(each) = &mut each {
            let Told { position, recorded_at, event_type, .. } = event;
            let now = state.shown();
            let mut changes = BTreeMap::new();
            differences("", &shown, &now, &mut changes);
            shown = now;
            each(Change { position, recorded_at, event_type, changes })?;
        }
    }
    drop(told);
    let Some((position, recorded_at, sequence)) = last else {
        return Err(match (at, first(connection, kind, id).await?) {
            (At::End, _) | (_, None) => Error::NoSuch(kind, id),
            (At::Position(_) | At::Time(_), Some(first)) => {
                Error::NotYet { kind, id, position: first.position, recorded_at: first.recorded_at }
            }
        });
    };
    Ok(Replayed { aggregate: kind, id, position, recorded_at, sequence, state: state.shown() })
}

async fn first(connection: &mut PgConnection, kind: AggregateType, id: Uuid) -> Result<Option<Told>, Error> {
    let range = Range { limit: Some(1), ..Range::default() };
    events(connection, Whose::Aggregate(kind, id), range).try_next().await
}

/// A state that can be shown. A concert's is by its numbers: the bookings of it may be a million.
enum State {
    User(User),
    Concert(Box<Tally>),
    Booking(Booking),
    Payment(Box<Payment>),
}

impl State {
    fn new(kind: AggregateType) -> Self {
        match kind {
            AggregateType::User => Self::User(User::default()),
            AggregateType::Concert => Self::Concert(Box::default()),
            AggregateType::Booking => Self::Booking(Booking::default()),
            AggregateType::Payment => Self::Payment(Box::default()),
        }
    }

    fn push(&mut self, event: Event) {
        match (self, event) {
            (Self::User(state), Event::User(event)) => state.apply(event),
            (Self::Concert(state), Event::Concert(event)) => state.push(event),
            (Self::Booking(state), Event::Booking(event)) => state.apply(event),
            (Self::Payment(state), Event::Payment(event)) => state.apply(event),
            // An event is decoded as one of its aggregate's kind.
            (Self::User(_) | Self::Concert(_) | Self::Booking(_) | Self::Payment(_), _) => {}
        }
    }

    fn shown(&self) -> Value {
        match self {
            Self::User(user) => json!({
                "role": user.registered().map(|registered| registered.role.as_str()),
                "erased": user.is_erased(),
            }),
            Self::Concert(concert) => json!({
                "terms": concert.terms.as_ref().map(|terms| json!({
                    "organizerId": terms.organizer_id,
                    "name": terms.name,
                    "venue": terms.venue,
                    "startsAt": terms.starts_at,
                    "price": terms.price,
                    "maxPerBooking": terms.max_per_booking,
                    "holdSeconds": terms.hold_seconds,
                    "capacityRegistered": terms.capacity_registered,
                })),
                "tickets": concert.tickets,
                "bookings": concert.bookings,
                "canceled": concert.canceled,
            }),
            Self::Booking(booking) => json!({
                "status": booking.status().map(aggregates::BookingStatus::as_str),
                "concertId": booking.request().map(|request| request.concert_id),
                "userId": booking.request().map(|request| request.user_id),
                "qty": booking.request().map(|request| request.qty),
                "rejection": booking.rejection(),
            }),
            Self::Payment(payment) => json!({
                "status": payment.status().map(aggregates::PaymentStatus::as_str),
                "bookingId": payment.request().map(|request| request.booking_id),
                "concertId": payment.request().map(|request| request.concert_id),
                "userId": payment.request().map(|request| request.user_id),
                "qty": payment.request().map(|request| request.qty),
                "amount": payment.request().map(|request| request.amount),
                "expiresAt": payment.expires_at(),
                "inFlight": payment.in_flight().map(|attempt| json!({
                    "attemptId": attempt.attempt_id,
                    "attemptedAt": attempt.attempted_at,
                })),
                "approved": payment.approved().map(|approved| json!({
                    "attemptId": approved.attempt_id,
                    "approvedAt": approved.approved_at,
                })),
                "cancelRequested": payment.is_cancel_requested(),
                "refundDue": payment.refund_due().is_some(),
                "givenUp": payment.given_up().map(|refused| refused.attempt_id),
            }),
        }
    }
}

/// What differs, leaf by leaf.
fn differences(path: &str, before: &Value, after: &Value, into: &mut BTreeMap<String, (Value, Value)>) {
    let empty = serde_json::Map::new();
    let fields = |value: &Value| value.as_object().cloned();
    match (fields(before), fields(after)) {
        (None, None) => {
            if before != after {
                into.insert(path.to_owned(), (before.clone(), after.clone()));
            }
        }
        (before, after) => {
            let (before, after) = (before.unwrap_or_else(|| empty.clone()), after.unwrap_or(empty));
            let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let of = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
                differences(&path, &of(&before), &of(&after), into);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_leaf_by_leaf() {
        let mut changes = BTreeMap::new();
        let (before, after) =
            (json!({"a": {"b": 1, "c": 2}, "d": null}), json!({"a": {"b": 1, "c": 3}, "d": {"e": 4}}));
        differences("", &before, &after, &mut changes);
        let expected = [("a.c".to_owned(), (json!(2), json!(3))), ("d.e".to_owned(), (Value::Null, json!(4)))];
        assert_eq!(changes, BTreeMap::from(expected));
    }
}
