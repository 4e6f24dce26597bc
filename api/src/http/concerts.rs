//! Concerts: on sale, with their counts.

use std::sync::Arc;

use aggregates::{
    Concert, ConcertCommand, ConcertError, ConcertId, Counts, Currency, Money, Qty, UserId,
    concert::{HOLD_SECONDS_DEFAULT, Register, Terms},
};
use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use journal::Position;
use projections::ConcertView;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::Organizer,
    headers::{At, IdempotencyKey, MIN_POSITION_WAIT_MAX, MinPosition, Trail},
    json::{ApiJson, ApiQuery, Id, object},
    problem::{Kind, Problem, ProblemDocument},
    state::Api,
};

/// Concerts in one answer where the client does not say.
const LIST_LIMIT_DEFAULT: usize = 100;

/// An amount in minor units of its currency.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    /// Minor units.
    #[schema(example = 110_000)]
    amount: u64,
    /// ISO 4217.
    #[schema(value_type = String, example = "KRW")]
    currency: Currency,
}

impl From<Amount> for Money {
    fn from(Amount { amount, currency }: Amount) -> Self {
        Self { amount, currency }
    }
}

impl From<Money> for Amount {
    fn from(Money { amount, currency }: Money) -> Self {
        Self { amount, currency }
    }
}

/// A concert to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewConcert {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(minimum = 1, maximum = 10_000_000)]
    ticket_qty: u32,
    /// Of one ticket.
    #[serde(deserialize_with = "object")]
    price: Amount,
    venue: Option<String>,
    starts_at: Option<DateTime<Utc>>,
    /// Tickets one booking may have.
    #[schema(minimum = 1, maximum = 1_000)]
    max_per_booking: Option<u32>,
    /// Seconds a booking holds its tickets unpaid.
    #[schema(minimum = 1, maximum = 604_800, default = 600)]
    hold_seconds: Option<u32>,
}

/// Changes to a concert.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ConcertChange {
    /// Tickets there shall be; never fewer than are held and sold.
    #[schema(minimum = 1, maximum = 10_000_000)]
    ticket_qty: Option<u32>,
}

/// Tickets by what they are.
#[derive(Serialize, ToSchema)]
pub(super) struct Tickets {
    capacity: u32,
    held: u32,
    sold: u32,
    available: u32,
}

impl From<Counts> for Tickets {
    fn from(counts: Counts) -> Self {
        let Counts { capacity, held, sold } = counts;
        Self { capacity, held, sold, available: counts.available() }
    }
}

/// A concert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConcertAnswer {
    id: Uuid,
    /// The same as `id`.
    concert_id: Uuid,
    organizer_id: Uuid,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    venue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<DateTime<Utc>>,
    price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_per_booking: Option<u32>,
    hold_seconds: u32,
    canceled: bool,
    tickets: Tickets,
}

impl ConcertAnswer {
    fn of_state(terms: &Terms, counts: Counts, canceled: bool) -> Self {
        let terms = terms.clone();
        Self {
            id: terms.concert_id.0,
            concert_id: terms.concert_id.0,
            organizer_id: terms.organizer_id.0,
            name: terms.name,
            venue: terms.venue,
            starts_at: terms.starts_at,
            price: terms.price.into(),
            max_per_booking: terms.max_per_booking.map(Qty::get),
            hold_seconds: terms.hold_seconds,
            canceled,
            tickets: counts.into(),
        }
    }

    fn of_view(view: &ConcertView) -> Self {
        Self {
            id: view.id.0,
            concert_id: view.id.0,
            organizer_id: view.organizer_id.0,
            name: view.name.clone(),
            venue: view.venue.clone(),
            starts_at: view.starts_at,
            price: view.price.into(),
            max_per_booking: view.max_per_booking.map(Qty::get),
            hold_seconds: view.hold_seconds,
            canceled: view.canceled,
            tickets: view.counts.into(),
        }
    }
}

/// Put a concert on sale.
#[utoipa::path(post, path = "/concerts", tag = "concerts", request_body = NewConcert, security(("token" = [])), responses(
    (status = 201, body = ConcertAnswer),
    (status = 403, description = "not an organizer", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 422, description = "a field is wrong", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(api): State<Api>,
    Organizer(organizer): Organizer,
    IdempotencyKey(key): IdempotencyKey,
    trail: Trail,
    ApiJson { value, bytes }: ApiJson<NewConcert>,
) -> Result<(StatusCode, At<Json<ConcertAnswer>>), Problem> {
    let concert_id = match key {
        Some(key) => {
            let scope = format!("POST /concerts {organizer}");
            ConcertId(api.idempotency.reserve(&scope, &key, &bytes).await?.resource)
        }
        None => ConcertId(Uuid::now_v7()),
    };
    let register = ConcertCommand::Register(Register {
        concert_id,
        organizer_id: organizer,
        name: value.name,
        venue: value.venue,
        starts_at: value.starts_at,
        capacity: value.ticket_qty,
        price: value.price.into(),
        max_per_booking: value.max_per_booking.map(|max| qty("maxPerBooking", max)).transpose()?,
        hold_seconds: value.hold_seconds.unwrap_or(HOLD_SECONDS_DEFAULT),
    });
    let done = api.journal.execute::<Concert>(concert_id.0, register, &trail.metadata(organizer)).await;
    let done = done.map_err(|error| Problem::of_command(error, refused))?;
    let terms = done.state.terms().ok_or_else(|| Problem::not_found("concert"))?;
    // The answer to a repeated request is that to the first: the concert as it was registered.
    let counts = Counts { capacity: terms.capacity_registered, held: 0, sold: 0 };
    let answer = ConcertAnswer::of_state(terms, counts, false);
    Ok((StatusCode::CREATED, At(done.position, Json(answer))))
}

/// A number of tickets in a request, checked.
pub(super) fn qty(field: &str, tickets: u32) -> Result<Qty, Problem> {
    Qty::new(tickets).map_err(|error| Problem::field(field, error.to_string()))
}

fn refused(error: ConcertError) -> Problem {
    match error {
        ConcertError::NoSuchConcert => Problem::not_found("concert"),
        ConcertError::AlreadyRegistered => Problem::new(Kind::IdempotencyKeyReused, error.to_string()),
        ConcertError::Canceled => Problem::new(Kind::ConcertCanceled, error.to_string()),
        ConcertError::CapacityOutOfRange { capacity, least } if capacity >= 1 && capacity < least => {
            Problem::new(Kind::CapacityBelowTaken, error.to_string()).with("field", "ticketQty").with("least", least)
        }
        ConcertError::CapacityOutOfRange { .. } => Problem::field("ticketQty", error.to_string()),
        ConcertError::TermOutOfRange { term, rule } => Problem::field(term, rule),
        ConcertError::NotHeld(_) => Problem::internal(&error),
    }
}

/// How much of a list to answer with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Entries, at most.
    pub limit: Option<usize>,
    /// Only entries older than the one with this `id` (histories) or registration position (concerts).
    pub before: Option<u64>,
}

impl Page {
    pub fn before(&self) -> Result<Option<Position>, Problem> {
        match self.before {
            Some(before) if i64::try_from(before).is_err() => Err(Problem::field("before", "is out of range")),
            before => Ok(before.map(Position)),
        }
    }

    pub fn limit(&self, default: usize) -> Result<usize, Problem> {
        match self.limit {
            Some(0) => Err(Problem::field("limit", "must be 1 or more")),
            limit => Ok(limit.unwrap_or(default)),
        }
    }
}

/// Concerts on sale, newest first.
#[utoipa::path(get, path = "/concerts", tag = "concerts", params(Page), responses((status = 200, body = [ConcertAnswer])))]
pub(super) async fn list(
    State(api): State<Api>,
    min: MinPosition,
    ApiQuery(page): ApiQuery<Page>,
) -> Result<Json<Vec<ConcertAnswer>>, Problem> {
    min.wait(|position| api.concerts.wait_for(position, MIN_POSITION_WAIT_MAX)).await?;
    let views = api.concerts.list(page.limit(LIST_LIMIT_DEFAULT)?, page.before()?).await?;
    Ok(Json(views.iter().map(|view| ConcertAnswer::of_view(view)).collect()))
}

/// One concert.
#[utoipa::path(get, path = "/concerts/{id}", tag = "concerts", params(("id" = Uuid, Path)), responses(
    (status = 200, body = ConcertAnswer),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn read(State(api): State<Api>, min: MinPosition, Id(id): Id) -> Result<Json<ConcertAnswer>, Problem> {
    min.wait(|position| api.concerts.wait_for(position, MIN_POSITION_WAIT_MAX)).await?;
    if let Some(view) = api.concerts.get(ConcertId(id)).await? {
        return Ok(Json(ConcertAnswer::of_view(&view)));
    }
    // Registered a moment ago, perhaps, and not in the view yet.
    let concert = api.journal.load::<Concert>(id).await?.state;
    let terms = concert.terms().ok_or_else(|| Problem::not_found("concert"))?;
    Ok(Json(ConcertAnswer::of_state(terms, concert.counts(), concert.is_canceled())))
}

/// Change the number of tickets.
#[utoipa::path(patch, path = "/concerts/{id}", tag = "concerts", params(("id" = Uuid, Path)), request_body = ConcertChange,
    security(("token" = [])), responses(
    (status = 200, body = ConcertAnswer),
    (status = 409, description = "more are held and sold", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(api): State<Api>,
    Organizer(organizer): Organizer,
    trail: Trail,
    Id(id): Id,
    ApiJson { value, .. }: ApiJson<ConcertChange>,
) -> Result<At<Json<ConcertAnswer>>, Problem> {
    let concert = api.journal.load::<Concert>(id).await?.state;
    owned(&concert, organizer)?;
    let (concert, position) = match value.ticket_qty {
        None => (concert, api.journal.position()),
        Some(capacity) => {
            let command = ConcertCommand::ChangeCapacity { capacity };
            let done = api.journal.execute::<Concert>(id, command, &trail.metadata(organizer)).await;
            let done = done.map_err(|error| Problem::of_command(error, refused))?;
            (done.state, done.position)
        }
    };
    let terms = concert.terms().ok_or_else(|| Problem::not_found("concert"))?;
    Ok(At(position, Json(ConcertAnswer::of_state(terms, concert.counts(), concert.is_canceled()))))
}

/// Call a concert off: every booking is cancelled and refunded, in the background.
///
/// The answer comes at once. No ticket is held for anybody from then on; bookings that have some are cancelled one after
/// the other, and their money goes back as fast as the payment provider takes it. Again: the same answer, no effect.
#[utoipa::path(delete, path = "/concerts/{id}", tag = "concerts", params(("id" = Uuid, Path)), security(("token" = [])), responses(
    (status = 200, description = "called off, now or before", body = ConcertAnswer),
    (status = 403, description = "not an organizer, or not this one's", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(api): State<Api>,
    Organizer(organizer): Organizer,
    trail: Trail,
    Id(id): Id,
) -> Result<At<Json<ConcertAnswer>>, Problem> {
    owned(&api.journal.load::<Concert>(id).await?.state, organizer)?;
    let done = api.journal.execute::<Concert>(id, ConcertCommand::Cancel, &trail.metadata(organizer)).await;
    let done = done.map_err(|error| Problem::of_command(error, refused))?;
    let terms = done.state.terms().ok_or_else(|| Problem::not_found("concert"))?;
    Ok(At(done.position, Json(ConcertAnswer::of_state(terms, done.state.counts(), true))))
}

fn owned(concert: &Concert, organizer: UserId) -> Result<(), Problem> {
    let terms = concert.terms().ok_or_else(|| Problem::not_found("concert"))?;
    if terms.organizer_id == organizer {
        Ok(())
    } else {
        Err(Problem::new(Kind::Forbidden, "this concert is sold by another organizer"))
    }
}

/// What a booking needs to know of its concert before it is requested.
pub(super) struct OnSale {
    pub max_per_booking: Option<Qty>,
    pub canceled: bool,
}

/// The concert a booking asks for, from the view or, if it is that new, from the journal.
pub(super) async fn on_sale(api: &Api, id: ConcertId) -> Result<OnSale, Problem> {
    if let Some(view) = api.concerts.get(id).await? {
        let view: Arc<ConcertView> = view;
        return Ok(OnSale { max_per_booking: view.max_per_booking, canceled: view.canceled });
    }
    let concert = api.journal.load::<Concert>(id.0).await?.state;
    let terms = concert.terms().ok_or_else(|| Problem::not_found("concert"))?;
    Ok(OnSale { max_per_booking: terms.max_per_booking, canceled: concert.is_canceled() })
}
