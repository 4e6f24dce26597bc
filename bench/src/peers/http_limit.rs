//! A bare axum route that reads what the product reads and answers what it answers.

use axum::{Json, Router, http::StatusCode, routing::post};
use uuid::Uuid;

use super::{BookingAnswer, NewBooking};

pub(super) fn router() -> Router {
    Router::new().route("/bookings", post(book))
}

async fn book(Json(new): Json<NewBooking>) -> (StatusCode, Json<BookingAnswer>) {
    let expires_at = "2030-01-01T00:00:00.000000000Z".to_owned();
    let answer = BookingAnswer::new(Uuid::now_v7(), Uuid::now_v7(), &new, 110_000, expires_at);
    (StatusCode::CREATED, Json(answer))
}
