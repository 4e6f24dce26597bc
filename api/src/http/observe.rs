//! Every request: an id, a span, a count and a duration.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use super::headers::{REQUEST_ID, Trail};

pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let trail = Trail::of(request.headers());
    let method = request.method().clone();
    // The pattern, never the path: ids would make as many series as there are bookings.
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", id = %trail.request, traceparent = %trail.traceparent, %method, route);
    let id = HeaderValue::from_str(&trail.request);
    request.extensions_mut().insert(trail);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(id) = id {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
    }
    let labels =
        [("method", method.as_str().to_owned()), ("route", route), ("status", response.status().as_str().to_owned())];
    metrics::histogram!("http_request_seconds", &labels).record(begun.elapsed().as_secs_f64());
    response
}
