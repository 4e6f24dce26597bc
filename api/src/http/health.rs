//! Whether the process lives, whether it can serve, and its numbers.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use nats::RelayState;
use payments::BreakerState;
use seals::SealState;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::Api;

/// How long readiness waits for Postgres.
const DATABASE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Events a view may be behind and still serve.
const VIEW_LAG_EVENTS_MAX: u64 = 10_000;

/// How ready the process is, part by part.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    /// `ready`, `degraded` (serving, but a part is away) or `unready`.
    status: &'static str,
    journal_position: u64,
    database: bool,
    /// State of the relay that fills the mirror.
    relay: String,
    relay_position: u64,
    /// State of the sealer that signs checkpoints of the log, and why they are not published where that is halted.
    seals: String,
    /// How far the log is sealed, as far as this process knows.
    sealed_position: u64,
    ticket_counts_position: u64,
    mypage_position: u64,
    /// `open` to the provider, `put off` by the circuit breaker, `half-open` when that lets some through to see how they
    /// fare, or `not configured`.
    payments: &'static str,
}

/// The process lives.
#[utoipa::path(get, path = "/livez", tag = "operation", responses((status = 200)))]
pub(super) async fn live() -> &'static str {
    "alive\n"
}

/// The process can serve.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, body = Readiness),
    (status = 503, body = Readiness),
))]
pub(super) async fn ready(State(api): State<Api>) -> Response {
    let ping = sqlx::query("SELECT 1").execute(api.journal.pool());
    let database = matches!(tokio::time::timeout(DATABASE_WAIT_MAX, ping).await, Ok(Ok(_)));
    let head = api.journal.position();
    let (counts, mypage) = (api.concerts.position(), api.mypage.position());
    let lag = head.0.saturating_sub(counts.0).max(head.0.saturating_sub(mypage.0));
    let (relay, relay_position, mirrored) = {
        let status = api.health.relay.borrow();
        let mirrored = matches!(status.state, RelayState::Live | RelayState::Standby | RelayState::CatchingUp);
        (describe(&status.state), status.position.0, mirrored)
    };
    let (seals, sealed_position, sealing) = {
        let status = api.health.seals.borrow();
        let publishing = status.unpublished.as_ref().map(|halt| format!("; publishing is halted: {halt}"));
        let sealing = !matches!(status.state, SealState::Halted(_)) && publishing.is_none();
        (format!("{}{}", status.state, publishing.unwrap_or_default()), status.size, sealing)
    };
    let serves = database && lag <= VIEW_LAG_EVENTS_MAX && !api.stop.is_cancelled();
    let status = match (serves, mirrored && sealing) {
        (true, true) => "ready",
        (true, false) => "degraded",
        (false, _) => "unready",
    };
    let readiness = Readiness {
        status,
        journal_position: head.0,
        database,
        relay,
        relay_position,
        seals,
        sealed_position,
        ticket_counts_position: counts.0,
        mypage_position: mypage.0,
        payments: match &api.cashier {
            None => "not configured",
            Some(cashier) => match cashier.breaker() {
                BreakerState::Closed => "open",
                BreakerState::Open => "put off",
                BreakerState::HalfOpen => "half-open",
            },
        },
    };
    let code = if serves { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

fn describe(state: &RelayState) -> String {
    match state {
        RelayState::Standby => "standby".to_owned(),
        RelayState::CatchingUp => "catching up".to_owned(),
        RelayState::Live => "live".to_owned(),
        RelayState::Disconnected => "disconnected".to_owned(),
        RelayState::Halted(halt) => format!("halted: {halt}"),
    }
}

/// Numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses((status = 200, content_type = "text/plain")))]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let (aggregates, hits, misses) = api.journal.cache_usage();
    gauge("journal_position", api.journal.position().0);
    gauge("journal_cache_aggregates", aggregates as u64);
    ::metrics::counter!("journal_cache_hits_total").absolute(hits);
    ::metrics::counter!("journal_cache_misses_total").absolute(misses);
    gauge("ticket_counts_position", api.health.ticket_counts.position().0);
    gauge("mypage_position", api.mypage.position().0);
    if let Some(cashier) = &api.cashier {
        // The gauge of the breaker is set when somebody looks: that its time is up is no event.
        cashier.breaker();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.health.metrics.render()).into_response()
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
fn gauge(name: &'static str, value: u64) {
    ::metrics::gauge!(name).set(value as f64);
}
