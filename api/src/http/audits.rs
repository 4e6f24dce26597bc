//! The log as evidence, for organizers: an aggregate's events, what it was then, and why a booking ended as it did.

use aggregates::{AggregateType, BookingId};
use audit::{At as When, Change, Error, Range, Told, Whose, Why};
use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::request::Parts,
};
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use journal::Position;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::Organizer,
    headers::MinPosition,
    json::ApiQuery,
    problem::{Kind, Problem, ProblemDocument},
    state::Api,
    users::reached,
};
use crate::audit::{aggregate, at};

/// Audits at the same time, at most: each reads as much of the log as its aggregate has, on a connection that others
/// need. One more is answered 503.
const AUDITS_AT_ONCE_MAX: usize = 2;
/// Events in one answer where the client does not say.
const EVENTS_LIMIT_DEFAULT: u32 = 100;
/// Events in one answer, at most.
const EVENTS_LIMIT_MAX: u32 = 1_000;

static AUDITS: Semaphore = Semaphore::const_new(AUDITS_AT_ONCE_MAX);

/// A connection to read on, and the right to do so.
struct Desk(
    PoolConnection<Postgres>,
    #[expect(dead_code, reason = "it is given back with the connection")] SemaphorePermit<'static>,
);

impl Desk {
    async fn open(api: &Api) -> Result<Self, Problem> {
        let permit = AUDITS
            .try_acquire()
            .map_err(|_| Problem::new(Kind::Overloaded, "others are looking into the log, try again a little later"))?;
        let connection = api.journal.pool().acquire().await.map_err(Error::from)?;
        Ok(Self(connection, permit))
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// An aggregate in the path, its kind in the singular or the plural. What is neither names nothing.
pub(super) struct Subject(AggregateType, Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Subject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unknown = || Problem::new(Kind::NotFound, "there is nothing with this id");
        let Path((kind, id)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(|_| unknown())?;
        let kind =
            aggregate(&kind).map_err(|_| Problem::new(Kind::NotFound, format!("{kind:?} is no kind of aggregate")))?;
        Ok(Self(kind, id.parse().map_err(|_| unknown())?))
    }
}

/// An event as it is told. Personal data stays sealed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventAnswer {
    /// Place in the log; `after=` it gives the next page.
    position: u64,
    recorded_at: DateTime<Utc>,
    #[schema(example = "booking")]
    aggregate: &'static str,
    aggregate_id: Uuid,
    /// Place in its aggregate's stream.
    sequence: u64,
    #[schema(example = "BookingRequested")]
    event_type: String,
    event_version: String,
    /// Who.
    #[schema(example = "saga")]
    actor: Option<String>,
    /// What it follows from directly.
    #[schema(example = "event:4")]
    causation: Option<String>,
    /// The request at the beginning of it all.
    correlation: Option<String>,
    /// What it says.
    #[schema(value_type = Object)]
    payload: Value,
}

impl From<Told> for EventAnswer {
    fn from(told: Told) -> Self {
        Self {
            position: told.position.0,
            recorded_at: told.recorded_at,
            aggregate: told.aggregate.as_str(),
            aggregate_id: told.aggregate_id,
            sequence: told.sequence.0,
            event_type: told.event_type,
            event_version: told.event_version,
            actor: told.actor,
            causation: told.causation,
            correlation: told.correlation,
            payload: told.payload,
        }
    }
}

/// Which part of an aggregate's events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Events, at most; 1,000 in one answer.
    limit: Option<u32>,
    /// Only events after this position.
    after: Option<u64>,
}

/// The events of an aggregate, oldest first.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}/events", tag = "audit",
    params(("aggregate" = String, Path, description = "user, concert, booking or payment, or the plural"), ("id" = Uuid, Path), Part),
    security(("token" = [])), responses(
    (status = 200, body = [EventAnswer]),
    (status = 403, description = "not for fans", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn events(
    State(api): State<Api>,
    _organizer: Organizer,
    min: MinPosition,
    Subject(kind, id): Subject,
    ApiQuery(part): ApiQuery<Part>,
) -> Result<Json<Vec<EventAnswer>>, Problem> {
    let limit = match part.limit {
        Some(0) => return Err(Problem::field("limit", "must be 1 or more")),
        limit => limit.unwrap_or(EVENTS_LIMIT_DEFAULT).min(EVENTS_LIMIT_MAX),
    };
    min.wait(|position| reached(&api, position)).await?;
    let mut desk = Desk::open(&api).await?;
    let from = part.after.map(|after| Position(after.saturating_add(1)));
    let range = Range { from, limit: Some(limit), ..Range::default() };
    let whose = Whose::Aggregate(kind, id);
    let told: Vec<Told> = audit::events(desk.connection(), whose, range).try_collect().await?;
    if told.is_empty()
        && audit::events(desk.connection(), whose, Range { limit: Some(1), ..Range::default() })
            .try_next()
            .await?
            .is_none()
    {
        return Err(Error::NoSuch(kind, id).into());
    }
    Ok(Json(told.into_iter().map(Into::into).collect()))
}

/// When.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AtTime {
    /// A position of the log, or a time (RFC 3339); without it, as it is now.
    at: Option<String>,
}

/// What an aggregate was.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateAnswer {
    #[schema(example = "concert")]
    aggregate: &'static str,
    id: Uuid,
    /// Position of its last event by then.
    position: u64,
    /// When that was recorded.
    recorded_at: DateTime<Utc>,
    /// Place of that event in its own stream.
    sequence: u64,
    /// What it was; a concert by its numbers.
    #[schema(value_type = Object)]
    state: Value,
}

/// What an aggregate was at a position or a time.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}", tag = "audit",
    params(("aggregate" = String, Path, description = "user, concert, booking or payment, or the plural"), ("id" = Uuid, Path), AtTime),
    security(("token" = [])), responses(
    (status = 200, body = StateAnswer),
    (status = 403, description = "not for fans", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, description = "not there, or not there yet", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn state(
    State(api): State<Api>,
    _organizer: Organizer,
    min: MinPosition,
    Subject(kind, id): Subject,
    ApiQuery(when): ApiQuery<AtTime>,
) -> Result<Json<StateAnswer>, Problem> {
    let when = when.at.map(|text| at(&text).map_err(|error| Problem::field("at", error)));
    let when: When = when.transpose()?.unwrap_or_default();
    min.wait(|position| reached(&api, position)).await?;
    let mut desk = Desk::open(&api).await?;
    let nobody: Option<&mut (dyn FnMut(Change) -> Result<(), Error> + Send)> = None;
    let replayed = audit::replay(desk.connection(), kind, id, when, nobody).await?;
    Ok(Json(StateAnswer {
        aggregate: replayed.aggregate.as_str(),
        id: replayed.id,
        position: replayed.position.0,
        recorded_at: replayed.recorded_at,
        sequence: replayed.sequence.0,
        state: replayed.state,
    }))
}

/// Tickets by what they were.
#[derive(Serialize, ToSchema)]
pub(super) struct TicketsThen {
    capacity: i64,
    held: i64,
    sold: i64,
    available: i64,
}

/// A booking that had tickets.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HolderAnswer {
    booking_id: Uuid,
    user_id: Uuid,
    qty: u32,
    /// Whether they were paid.
    sold: bool,
    /// Position at which they were set aside for it.
    held_at: u64,
}

/// Why a booking is what it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WhyAnswer {
    booking_id: Uuid,
    concert_id: Uuid,
    user_id: Uuid,
    qty: u32,
    #[schema(example = "BookingRejected")]
    status: &'static str,
    /// Why, in a sentence.
    because: String,
    /// The event that decided it.
    decided_by: EventAnswer,
    /// The concert's tickets right before that event.
    tickets_then: Option<TicketsThen>,
    /// How many bookings had tickets then.
    holders_in_all: usize,
    /// The latest of them.
    holders: Vec<HolderAnswer>,
    /// What became of its money, in a sentence.
    money: String,
    /// Everything that happened to the booking and its payment, in order.
    events: Vec<EventAnswer>,
}

impl From<Why> for WhyAnswer {
    fn from(why: Why) -> Self {
        let holders = why.holders.into_iter().map(|holder| HolderAnswer {
            booking_id: holder.booking_id.0,
            user_id: holder.user_id.0,
            qty: holder.qty,
            sold: holder.sold,
            held_at: holder.held_at.0,
        });
        Self {
            booking_id: why.booking_id.0,
            concert_id: why.concert_id.0,
            user_id: why.user_id.0,
            qty: why.qty,
            status: why.status,
            because: why.because,
            decided_by: why.decided_by.into(),
            tickets_then: why.tickets_then.map(|then| TicketsThen {
                capacity: then.capacity,
                held: then.held,
                sold: then.sold,
                available: then.available,
            }),
            holders_in_all: why.holders_in_all,
            holders: holders.collect(),
            money: why.money,
            events: why.events.into_iter().map(Into::into).collect(),
        }
    }
}

/// Why a booking was refused, cancelled, or expired. Only bookings have a why.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}/why", tag = "audit",
    params(("aggregate" = String, Path, description = "bookings"), ("id" = Uuid, Path)),
    security(("token" = [])), responses(
    (status = 200, body = WhyAnswer),
    (status = 403, description = "not for fans", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn why(
    State(api): State<Api>,
    _organizer: Organizer,
    min: MinPosition,
    Subject(kind, id): Subject,
) -> Result<Json<WhyAnswer>, Problem> {
    match kind {
        AggregateType::Booking => {}
        AggregateType::User | AggregateType::Concert | AggregateType::Payment => {
            return Err(Problem::new(Kind::NotFound, format!("only bookings have a why, a {kind} has not")));
        }
    }
    min.wait(|position| reached(&api, position)).await?;
    let mut desk = Desk::open(&api).await?;
    Ok(Json(audit::why(desk.connection(), BookingId(id)).await?.into()))
}
