//! Bookings: asked for, waited for, looked at, called off.

use std::time::Duration;

use aggregates::{
    Booking, BookingCommand, BookingError, BookingId, BookingStatus, Concert, ConcertId, Payment, PaymentId,
    PaymentStatus, Qty, Role, User, UserId,
    booking::{CancelReason, Rejection, Request},
    concert::RefusalReason,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use journal::{ExecuteError, Position};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Caller,
    concerts::{Amount, on_sale, qty},
    headers::{At, IdempotencyKey, MinPosition, Patience, Trail},
    json::{ApiJson, Id},
    problem::{Kind, Problem, ProblemDocument},
    state::Api,
    users::reached,
};

/// How long a cancellation waits for money and tickets to be free; they are freed all the same.
const CANCEL_WAIT_MAX: Duration = Duration::from_secs(2);

/// A request for tickets.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewBooking {
    concert_id: Uuid,
    #[schema(minimum = 1, maximum = 1_000)]
    qty: u32,
    /// Only the concert's organizer may book for somebody else.
    user_id: Option<Uuid>,
}

/// A booking and its payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BookingAnswer {
    booking_id: Uuid,
    concert_id: Uuid,
    user_id: Uuid,
    qty: u32,
    #[schema(example = "BookingRequested")]
    status: &'static str,
    /// The booking's payment; known before it exists.
    payment_id: Uuid,
    /// `null` until tickets are held.
    #[schema(example = "PaymentRequested")]
    payment_status: Option<&'static str>,
    amount: Option<Amount>,
    /// Until when the tickets are kept unpaid.
    expires_at: Option<DateTime<Utc>>,
}

/// A booking and its payment as they stand now.
struct Standing {
    request: Request,
    status: BookingStatus,
    rejection: Option<Rejection>,
    payment: Payment,
}

impl Standing {
    async fn of(api: &Api, id: BookingId) -> Result<Option<Self>, Problem> {
        let booking = api.journal.load::<Booking>(id.0).await?.state;
        let (Some(request), Some(status)) = (booking.request(), booking.status()) else { return Ok(None) };
        let payment = api.journal.load::<Payment>(PaymentId::of(id).0).await?.state;
        Ok(Some(Self { request, status, rejection: booking.rejection(), payment }))
    }

    /// The same, of one that must be there.
    async fn now(api: &Api, id: BookingId) -> Result<Self, Problem> {
        Self::of(api, id).await?.ok_or_else(|| Problem::not_found("booking"))
    }

    /// A booking that was asked for this moment: whether there are tickets is yet to be found out.
    fn requested(request: Request) -> Self {
        Self { request, status: BookingStatus::BookingRequested, rejection: None, payment: Payment::default() }
    }

    /// Whether it is known if tickets are held.
    fn is_settled(&self) -> bool {
        self.status != BookingStatus::BookingRequested || self.payment.request().is_some()
    }

    fn answer(&self) -> BookingAnswer {
        let Request { booking_id, concert_id, user_id, qty } = self.request;
        BookingAnswer {
            booking_id: booking_id.0,
            concert_id: concert_id.0,
            user_id: user_id.0,
            qty: qty.get(),
            status: self.status.as_str(),
            payment_id: PaymentId::of(booking_id).0,
            payment_status: self.payment.status().map(aggregates::PaymentStatus::as_str),
            amount: self.payment.request().map(|request| request.amount.into()),
            expires_at: self.payment.expires_at(),
        }
    }
}

/// Book tickets: waits until they are held.
#[utoipa::path(post, path = "/bookings", tag = "bookings", request_body = NewBooking, security(("token" = [])), responses(
    (status = 201, description = "tickets are held: pay", body = BookingAnswer),
    (status = 202, description = "still in progress: look again at Location", body = BookingAnswer),
    (status = 404, description = "no such concert", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 409, description = "no tickets", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Patience(patience): Patience,
    trail: Trail,
    ApiJson { value, .. }: ApiJson<NewBooking>,
) -> Result<Response, Problem> {
    let qty = qty("qty", value.qty)?;
    let user_id = value.user_id.map_or(caller.user, UserId);
    let concert_id = ConcertId(value.concert_id);
    let booking_id = match &key {
        Some(key) => BookingId::derived(caller.user, key),
        None => BookingId(Uuid::now_v7()),
    };
    // What was requested before is answered as it stands, whatever has become of the concert since.
    let is_new = key.is_none() || api.journal.load::<Booking>(booking_id.0).await?.state.request().is_none();
    caller.may_see(&api, user_id, concert_id).await?;
    if is_new {
        check(&api, caller, user_id, concert_id, qty).await?;
    }
    let waiting = api.wake.on([booking_id.0, PaymentId::of(booking_id).0]);
    let request = Request { booking_id, concert_id, user_id, qty };
    let (command, metadata) = (BookingCommand::Request(request), trail.metadata(caller.user));
    let done = match key {
        Some(_) => api.journal.execute::<Booking>(booking_id.0, command, &metadata).await,
        None => api.journal.execute_new::<Booking>(booking_id.0, command, &metadata).await,
    };
    let done = done.map_err(|error| Problem::of_command(error, refused))?;

    let deadline = Instant::now() + patience;
    // To look at once would cost a query for a payment that cannot be there yet.
    let mut standing =
        if done.changed { Standing::requested(request) } else { Standing::now(&api, booking_id).await? };
    loop {
        if standing.is_settled() && patience > Duration::ZERO {
            return settled(&api, &standing);
        }
        if timeout_at(deadline, waiting.woken()).await.is_err() {
            let answer = At(done.position, Json(standing.answer()));
            return Ok(located(booking_id, (StatusCode::ACCEPTED, answer).into_response()));
        }
        standing = Standing::now(&api, booking_id).await?;
    }
}

/// Whether such a booking can be asked for at all.
async fn check(api: &Api, caller: Caller, user: UserId, concert: ConcertId, qty: Qty) -> Result<(), Problem> {
    let concert = on_sale(api, concert).await?;
    if concert.max_per_booking.is_some_and(|max| qty > max) {
        let max = concert.max_per_booking.map_or(Qty::MAX, Qty::get);
        return Err(Problem::field("qty", format!("this concert allows {max} tickets in one booking")));
    }
    if concert.canceled {
        return Err(Problem::new(Kind::ConcertCanceled, "the concert was cancelled"));
    }
    if user != caller.user {
        let user = api.journal.load::<User>(user.0).await?.state;
        if user.registered().is_none() || user.is_erased() {
            return Err(Problem::field("userId", "there is no such user"));
        }
    }
    Ok(())
}

fn settled(api: &Api, standing: &Standing) -> Result<Response, Problem> {
    let position = api.journal.position();
    if let Some(rejection) = standing.rejection {
        return Err(rejected(standing.request, rejection).at(position));
    }
    let created = (StatusCode::CREATED, At(position, Json(standing.answer())));
    Ok(located(standing.request.booking_id, created.into_response()))
}

/// Why there were no tickets, in the words of the log.
fn rejected(request: Request, Rejection { reason, available }: Rejection) -> Problem {
    let asked = request.qty.get();
    let (kind, detail) = match reason {
        RefusalReason::SoldOut => (Kind::SoldOut, format!("{asked} asked for, {available} left")),
        RefusalReason::MaxPerBooking => {
            (Kind::MaxPerBooking, "this concert allows fewer tickets in one booking".to_owned())
        }
        RefusalReason::ConcertCanceled => (Kind::ConcertCanceled, "the concert was cancelled".to_owned()),
        RefusalReason::NoSuchConcert => (Kind::NotFound, "there is no such concert".to_owned()),
    };
    Problem::new(kind, detail)
        .with("bookingId", request.booking_id.to_string())
        .with("bookingStatus", BookingStatus::BookingRejected.as_str())
        .with("available", available)
}

fn refused(error: BookingError) -> Problem {
    match error {
        BookingError::NoSuchBooking => Problem::not_found("booking"),
        BookingError::RequestedOtherwise => {
            Problem::new(Kind::IdempotencyKeyReused, "this Idempotency-Key was used for another booking")
        }
        BookingError::IllegalTransition { .. } => Problem::new(Kind::NotCancelable, error.to_string()),
    }
}

fn located(booking: BookingId, mut response: Response) -> Response {
    let location = HeaderValue::from_str(&format!("/bookings/{booking}"));
    response
        .headers_mut()
        .insert(header::LOCATION, location.unwrap_or_else(|error| unreachable!("a UUID is visible ASCII: {error}")));
    response
}

/// One booking.
#[utoipa::path(get, path = "/bookings/{id}", tag = "bookings", params(("id" = Uuid, Path)), security(("token" = [])), responses(
    (status = 200, body = BookingAnswer),
    (status = 403, description = "somebody else's", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(api): State<Api>,
    caller: Caller,
    min: MinPosition,
    Id(id): Id,
) -> Result<Json<BookingAnswer>, Problem> {
    min.wait(|position| reached(&api, position)).await?;
    let standing = Standing::now(&api, BookingId(id)).await?;
    caller.may_see(&api, standing.request.user_id, standing.request.concert_id).await?;
    Ok(Json(standing.answer()))
}

/// Call a booking off; money that was paid goes back.
#[utoipa::path(delete, path = "/bookings/{id}", tag = "bookings", params(("id" = Uuid, Path)), security(("token" = [])), responses(
    (status = 200, description = "cancelled, now or before", body = BookingAnswer),
    (status = 403, description = "somebody else's, at somebody else's concert", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 404, description = "no such booking", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 409, description = "it has ended otherwise", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Patience(patience): Patience,
    trail: Trail,
    Id(id): Id,
) -> Result<At<Json<BookingAnswer>>, Problem> {
    let standing = Standing::now(&api, BookingId(id)).await?;
    caller.may_see(&api, standing.request.user_id, standing.request.concert_id).await?;
    let reason = match caller.role {
        Role::Organizer if caller.user != standing.request.user_id => CancelReason::ByOrganizer,
        Role::Organizer | Role::Fan => CancelReason::ByFan,
    };
    let waiting = api.wake.on([id, PaymentId::of(BookingId(id)).0]);
    let cancel = BookingCommand::Cancel { reason };
    let done = api.journal.execute::<Booking>(id, cancel, &trail.metadata(caller.user)).await;
    let mut position: Position = match done {
        Ok(done) => done.position,
        Err(error @ ExecuteError::Refused(_)) => {
            return Err(Problem::of_command(error, refused).at(api.journal.position()));
        }
        Err(error) => return Err(Problem::of_command(error, refused)),
    };
    // Within a bound: until the money is back and the tickets are free, so that whoever looks next finds it so.
    let deadline = Instant::now() + patience.min(CANCEL_WAIT_MAX);
    loop {
        let standing = Standing::now(&api, BookingId(id)).await?;
        let released = has_released(&api, &standing).await?;
        position = if released { api.journal.position() } else { position };
        if released || timeout_at(deadline, waiting.woken()).await.is_err() {
            return Ok(At(position, Json(standing.answer())));
        }
    }
}

/// Whether a cancelled booking has no tickets, and nothing is left to be done for its money.
async fn has_released(api: &Api, standing: &Standing) -> Result<bool, Problem> {
    let payment_over = standing.payment.status().is_none_or(|status| status == PaymentStatus::PaymentCanceled);
    if !payment_over {
        return Ok(false);
    }
    let concert = api.journal.load::<Concert>(standing.request.concert_id.0).await?.state;
    let allotment = concert.allotment(standing.request.booking_id);
    Ok(allotment.is_none_or(|allotment| !allotment.has_tickets()))
}
