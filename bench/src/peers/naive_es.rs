//! cqrs-es and postgres-es out of the box: `postgres_cqrs`, a concert aggregate, axum before it.
//!
//! Every command reads all events of its concert and writes its own at the next sequence; who is second is told of a
//! conflict and tries again, as the documentation of `AggregateConflict` says. Commands take turns in this process, which is
//! to the peer's advantage: without that, all but one of those who read at the same time read in vain.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{SecondsFormat, Utc};
use cqrs_es::{Aggregate, AggregateError, DomainEvent, event_sink::EventSink};
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use thiserror::Error;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{BookingAnswer, HOLD_SECONDS, NewBooking};

/// Commands at once. More only read in vain: all of them are for the same concert.
const COMMANDS_MAX: usize = 1;
/// Connections to Postgres, as in `postgres_es::default_postgress_pool`.
const POOL_MAX: u32 = 10;
/// How often a conflict is tried again.
const RETRIES_MAX: usize = 100;
/// Tickets of a concert, which is opened by its first booking.
const CAPACITY: u32 = 10_000_000;
/// Won for a ticket.
const PRICE: i64 = 110_000;

/// The table, as postgres-es gives it.
pub(crate) const TABLE: &str = "
CREATE TABLE events (
    aggregate_type text                         NOT NULL,
    aggregate_id   text                         NOT NULL,
    sequence       bigint CHECK (sequence >= 0) NOT NULL,
    event_type     text                         NOT NULL,
    event_version  text                         NOT NULL,
    payload        json                         NOT NULL,
    metadata       json                         NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
)";

#[derive(Serialize, Deserialize)]
struct Concert {
    available: u32,
}

impl Default for Concert {
    fn default() -> Self {
        Self { available: CAPACITY }
    }
}

struct Book {
    booking_id: Uuid,
    payment_id: Uuid,
    user_id: Uuid,
    qty: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
enum ConcertEvent {
    TicketsHeld { booking_id: Uuid, user_id: Uuid, qty: u32 },
    PaymentRequested { payment_id: Uuid, booking_id: Uuid, amount: i64 },
}

#[derive(Debug, Error)]
#[error("not enough tickets")]
struct SoldOut;

impl DomainEvent for ConcertEvent {
    fn event_type(&self) -> String {
        match self {
            Self::TicketsHeld { .. } => "TicketsHeld",
            Self::PaymentRequested { .. } => "PaymentRequested",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Concert {
    const TYPE: &'static str = "concert";
    type Command = Book;
    type Event = ConcertEvent;
    type Error = SoldOut;
    type Services = ();

    async fn handle(&mut self, command: Book, (): &(), sink: &EventSink<Self>) -> Result<(), SoldOut> {
        let Book { booking_id, payment_id, user_id, qty } = command;
        if qty > self.available {
            return Err(SoldOut);
        }
        sink.write(ConcertEvent::TicketsHeld { booking_id, user_id, qty }, self).await;
        let amount = PRICE * i64::from(qty);
        sink.write(ConcertEvent::PaymentRequested { payment_id, booking_id, amount }, self).await;
        Ok(())
    }

    fn apply(&mut self, event: ConcertEvent) {
        match event {
            ConcertEvent::TicketsHeld { qty, .. } => self.available -= qty,
            ConcertEvent::PaymentRequested { .. } => {}
        }
    }
}

struct Service {
    cqrs: PostgresCqrs<Concert>,
    turns: Semaphore,
}

pub(super) async fn router(database: &str) -> Result<Router, crate::error::Error> {
    let pool = PgPoolOptions::new().max_connections(POOL_MAX).connect(database).await?;
    let service = Service { cqrs: postgres_cqrs(pool, Vec::new(), ()), turns: Semaphore::new(COMMANDS_MAX) };
    Ok(Router::new().route("/bookings", post(book)).with_state(Arc::new(service)))
}

async fn book(State(service): State<Arc<Service>>, Json(new): Json<NewBooking>) -> Response {
    let (booking, payment, user) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let concert = new.concert_id.to_string();
    let Ok(_turn) = service.turns.acquire().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "closed").into_response();
    };
    for _ in 0..RETRIES_MAX {
        let command = Book { booking_id: booking, payment_id: payment, user_id: user, qty: new.qty };
        match service.cqrs.execute(&concert, command).await {
            Ok(()) => {
                let expires_at = Utc::now() + Duration::from_secs(HOLD_SECONDS.unsigned_abs());
                let expires_at = expires_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                let amount = PRICE * i64::from(new.qty);
                let answer = BookingAnswer::new(booking, payment, &new, amount, expires_at);
                return (StatusCode::CREATED, Json(answer)).into_response();
            }
            Err(AggregateError::AggregateConflict) => {}
            Err(AggregateError::UserError(error)) => {
                return (StatusCode::CONFLICT, Json(json!({ "detail": error.to_string() }))).into_response();
            }
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
    (StatusCode::SERVICE_UNAVAILABLE, "too many conflicts").into_response()
}
