//! Routes, limits, and serving until told to stop.

use std::time::Duration;

use axum::{
    Router, ServiceExt,
    extract::Request,
    http::Uri,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tower::{Layer as _, util::MapRequestLayer};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use super::{
    audits, bookings, concerts, health, histories, live, observe, openapi, payments,
    problem::{Kind, Problem},
    receipts, seals, sessions,
    state::Api,
    users, webhooks,
};

/// Where the documentation is.
const DOCS: &str = "/docs";
/// How long requests may go on after the process was told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(15);

/// All routes, and the document made of them.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(users::create))
        .routes(routes!(users::read, users::erase))
        .routes(routes!(sessions::create))
        .routes(routes!(concerts::create, concerts::list))
        .routes(routes!(concerts::read, concerts::change, concerts::cancel))
        .routes(routes!(live::tickets))
        .routes(routes!(bookings::create))
        .routes(routes!(bookings::read, bookings::cancel))
        .routes(routes!(receipts::read))
        .routes(routes!(payments::read))
        .routes(routes!(payments::approve))
        .routes(routes!(webhooks::toss))
        .routes(routes!(histories::list))
        .routes(routes!(histories::of_user))
        .routes(routes!(seals::checkpoint))
        .route("/tile/{level}/{*n}", get(seals::hashes))
        .route("/tile/entries/{*n}", get(seals::entries))
        .routes(routes!(audits::events))
        .routes(routes!(audits::state))
        .routes(routes!(audits::why))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

fn app(api: Api) -> Router {
    let (router, document) = routes().split_for_parts();
    router
        .with_state(api)
        .merge(SwaggerUi::new(DOCS).url("/openapi.json", document))
        .fallback(|| async { Problem::new(Kind::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "this path does not take this method")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(observe::observe))
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // The panic itself was written to the log by its hook.
    Problem::new(Kind::Internal, "it was written down; please tell us the request id").into_response()
}

/// `/concerts/` is `/concerts`. The documentation's pages keep theirs, since their links are relative.
fn without_trailing_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() > 1 && path.ends_with('/') && !path.starts_with(DOCS) {
        let trimmed = path.trim_end_matches('/');
        let path = if trimmed.is_empty() { "/" } else { trimmed };
        let target = request.uri().query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Serves until told to stop, then lets what is under way finish, within a bound.
pub(crate) async fn serve(listener: TcpListener, api: Api) -> std::io::Result<()> {
    let stop = api.stop.clone();
    let app = MapRequestLayer::new(without_trailing_slash).layer(app(api));
    let told = stop.clone();
    let serving = axum::serve(listener, ServiceExt::<Request>::into_make_service(app))
        .with_graceful_shutdown(async move { told.cancelled().await });
    tokio::select! {
        served = serving => served,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN_MAX).await } => {
            tracing::warn!("some requests did not finish in time and were cut off");
            Ok(())
        }
    }
}
