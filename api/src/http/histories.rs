//! Booking histories, from MyPage.

use aggregates::{Role, UserId};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use projections::BookingHistory;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Caller,
    concerts::{Amount, Page},
    headers::{MIN_POSITION_WAIT_MAX, MinPosition},
    json::{ApiQuery, Id},
    problem::{Problem, ProblemDocument},
    state::Api,
};

/// Entries in one answer where the client does not say.
const LIST_LIMIT_DEFAULT: usize = 50;

/// An entry of a booking history.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryAnswer {
    /// Place in the history; `before=` it gives the older ones.
    id: u64,
    booking_id: Uuid,
    concert_id: Uuid,
    user_id: Uuid,
    /// The latest of the booking's and its payment's.
    #[schema(example = "PaymentCanceled")]
    status: &'static str,
    qty: u32,
    amount: Option<Amount>,
    payment_id: Option<Uuid>,
    requested_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<BookingHistory> for HistoryAnswer {
    fn from(entry: BookingHistory) -> Self {
        Self {
            id: entry.id.0,
            booking_id: entry.booking_id.0,
            concert_id: entry.concert_id.0,
            user_id: entry.user_id.0,
            status: entry.status.as_str(),
            qty: entry.qty.get(),
            amount: entry.amount.map(Into::into),
            payment_id: entry.payment_id.map(|id| id.0),
            requested_at: entry.requested_at,
            updated_at: entry.updated_at,
        }
    }
}

/// One's own bookings, newest first; an organizer sees everybody's.
#[utoipa::path(get, path = "/bookingHistories", tag = "my page", params(Page), security(("token" = [])), responses(
    (status = 200, body = [HistoryAnswer]),
))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    min: MinPosition,
    ApiQuery(page): ApiQuery<Page>,
) -> Result<Json<Vec<HistoryAnswer>>, Problem> {
    let user = match caller.role {
        Role::Fan => Some(caller.user),
        Role::Organizer => None,
    };
    histories(&api, user, min, &page).await
}

/// A user's bookings, newest first.
#[utoipa::path(get, path = "/bookingHistories/{userId}", tag = "my page", params(("userId" = Uuid, Path), Page),
    security(("token" = [])), responses(
    (status = 200, body = [HistoryAnswer]),
    (status = 403, description = "somebody else's", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn of_user(
    State(api): State<Api>,
    caller: Caller,
    min: MinPosition,
    Id(user): Id,
    ApiQuery(page): ApiQuery<Page>,
) -> Result<Json<Vec<HistoryAnswer>>, Problem> {
    caller.must_be(UserId(user))?;
    histories(&api, Some(UserId(user)), min, &page).await
}

async fn histories(
    api: &Api,
    user: Option<UserId>,
    min: MinPosition,
    page: &Page,
) -> Result<Json<Vec<HistoryAnswer>>, Problem> {
    min.wait(|position| api.mypage.wait_for(position, MIN_POSITION_WAIT_MAX)).await?;
    let entries = api.mypage.histories(user, page.limit(LIST_LIMIT_DEFAULT)?, page.before()?).await?;
    Ok(Json(entries.into_iter().map(Into::into).collect()))
}
