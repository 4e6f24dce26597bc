//! The service one would write instead: axum, sqlx, one transaction a booking.
//!
//! Tuned: statements are prepared once a connection, the pool is as large as this load likes it, and the row that everybody
//! updates is updated last, so that its lock is held for one round trip and the commit only. Nobody is authenticated and no
//! request is remembered for its idempotency key: what a peer leaves out is to its advantage.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::header::{AUTHORIZATION, HeaderValue};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

use super::{BookingAnswer, HOLD_SECONDS, NewBooking};
use crate::{
    error::Error,
    load::{Ask, Connection},
};

/// Connections to Postgres. Of 4, 8, 16, 32 and 64 the fewest gave as many bookings as any on two cores, and took the least
/// processor time for each: more only wait for the same row.
const POOL_MAX: u32 = 4;

struct Service {
    pool: PgPool,
    provider: Provider,
}

pub(super) async fn router(database: &str, provider: &str, secret: &str) -> Result<Router, Error> {
    let pool = PgPoolOptions::new().min_connections(POOL_MAX).max_connections(POOL_MAX).connect(database).await?;
    let service = Service { pool, provider: Provider::new(provider, secret)? };
    let router = Router::new().route("/bookings", post(book)).route("/payments/{id}/approve", post(approve));
    Ok(router.with_state(Arc::new(service)))
}

/// Whatever went wrong, as a 500.
struct Failed(Error);

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

async fn book(State(service): State<Arc<Service>>, Json(new): Json<NewBooking>) -> Result<Response, Failed> {
    let (booking, payment, user) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let qty = i32::try_from(new.qty).unwrap_or(i32::MAX);
    let mut transaction = service.pool.begin().await?;
    sqlx::query(
        "INSERT INTO bookings (id, concert_id, user_id, qty, status) VALUES ($1, $2, $3, $4, 'BookingRequested')",
    )
    .bind(booking)
    .bind(new.concert_id)
    .bind(user)
    .bind(qty)
    .execute(&mut *transaction)
    .await?;
    let requested: Option<(i64, DateTime<Utc>)> = sqlx::query_as(
        "INSERT INTO payments (id, booking_id, status, amount, expires_at)
         SELECT $1, $2, 'PaymentRequested', price * $3, now() + $4 * interval '1 second' FROM concerts WHERE id = $5
         RETURNING amount, expires_at",
    )
    .bind(payment)
    .bind(booking)
    .bind(qty)
    .bind(HOLD_SECONDS)
    .bind(new.concert_id)
    .fetch_optional(&mut *transaction)
    .await?;
    let held = sqlx::query("UPDATE concerts SET held = held + $2 WHERE id = $1 AND capacity - held - sold >= $2")
        .bind(new.concert_id)
        .bind(qty)
        .execute(&mut *transaction)
        .await?;
    let (Some((amount, expires_at)), 1) = (requested, held.rows_affected()) else {
        transaction.rollback().await?;
        return Ok((StatusCode::CONFLICT, Json(json!({ "detail": "not enough tickets" }))).into_response());
    };
    transaction.commit().await?;
    let expires_at = expires_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let answer = BookingAnswer::new(booking, payment, &new, amount, expires_at);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn approve(State(service): State<Arc<Service>>, Path(payment): Path<Uuid>) -> Result<Response, Failed> {
    let (status, amount): (String, i64) = sqlx::query_as("SELECT status, amount FROM payments WHERE id = $1")
        .bind(payment)
        .fetch_one(&service.pool)
        .await?;
    if status != "PaymentRequested" {
        return Ok((StatusCode::CONFLICT, Json(json!({ "status": status }))).into_response());
    }
    let key = service.provider.confirm(payment, amount).await?;
    let mut transaction = service.pool.begin().await?;
    let booking: Uuid = sqlx::query_scalar(
        "UPDATE payments SET status = 'PaymentApproved', payment_key = $2
         WHERE id = $1 AND status = 'PaymentRequested' RETURNING booking_id",
    )
    .bind(payment)
    .bind(key)
    .fetch_one(&mut *transaction)
    .await?;
    let (concert, qty): (Uuid, i32) =
        sqlx::query_as("UPDATE bookings SET status = 'BookingApproved' WHERE id = $1 RETURNING concert_id, qty")
            .bind(booking)
            .fetch_one(&mut *transaction)
            .await?;
    sqlx::query("UPDATE concerts SET held = held - $2, sold = sold + $2 WHERE id = $1")
        .bind(concert)
        .bind(qty)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Json(json!({ "paymentId": payment, "bookingId": booking, "status": "PaymentApproved" })).into_response())
}

/// The payment provider: the simulator that the product asks, in a process of its own.
struct Provider {
    address: std::net::SocketAddr,
    authorization: HeaderValue,
    /// Connections that nobody uses now.
    idle: Mutex<Vec<Connection>>,
}

impl Provider {
    fn new(url: &str, secret: &str) -> Result<Self, Error> {
        let address = url.strip_prefix("http://").and_then(|address| address.parse().ok());
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{secret}:")));
        let authorization = HeaderValue::from_str(&basic).map_err(|_| Error::NoSetting("PROVIDER_SECRET"))?;
        let address = address.ok_or(Error::NoSetting("PROVIDER_URL"))?;
        Ok(Self { address, authorization, idle: Mutex::default() })
    }

    /// Takes the money; its name at the provider.
    async fn confirm(&self, payment: Uuid, amount: i64) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Confirmed {
            status: String,
        }
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let key = Uuid::now_v7().to_string();
        let body: Value = json!({ "paymentKey": key, "orderId": payment, "amount": amount });
        let ask = Ask::post("/v1/payments/confirm", &body).with(AUTHORIZATION, self.authorization.clone());
        let answer = connection.send(&ask).await?;
        let Confirmed { status } = answer.expect(200, "confirming a payment")?;
        if status != "DONE" {
            return answer.expect(0, "confirming a payment");
        }
        self.idle.lock().push(connection);
        Ok(key)
    }
}
