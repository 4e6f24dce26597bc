//! Sign-in.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    headers::IdempotencyKey,
    json::ApiJson,
    problem::{Problem, ProblemDocument},
    state::Api,
};

/// A sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    email: String,
    password: String,
}

/// A session: send its token as `Authorization: Bearer …`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    token: String,
    expires_at: DateTime<Utc>,
    user_id: Uuid,
    role: &'static str,
}

/// Sign in.
#[utoipa::path(post, path = "/sessions", tag = "users", request_body = SignIn, responses(
    (status = 200, body = Session),
    (status = 401, description = "e-mail or password is wrong", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(api): State<Api>,
    IdempotencyKey(key): IdempotencyKey,
    ApiJson { value: SignIn { email, password }, bytes }: ApiJson<SignIn>,
) -> Result<Json<Session>, Problem> {
    let (user, role) = api.accounts.sign_in(&email, password).await?;
    // A token is a function of who and when, so the same key gives the same one.
    let now = match key {
        Some(key) => api.idempotency.reserve("POST /sessions", &key, &bytes).await?.at,
        None => Utc::now(),
    };
    let (token, expires_at) = api.tokens.issue(user, role, now);
    Ok(Json(Session { token, expires_at, user_id: user.0, role: role.as_str() }))
}
