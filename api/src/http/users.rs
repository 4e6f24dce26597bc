//! Sign-up, one's own data, and being forgotten.

use aggregates::{Role, UserId};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Caller,
    headers::{At, IdempotencyKey, MIN_POSITION_WAIT_MAX, MinPosition, Trail},
    json::{ApiJson, Id},
    problem::{Problem, ProblemDocument},
    state::Api,
};
use crate::accounts::{NewAccount, Profile};

/// Characters of a name, at most.
const NAME_CHARS_MAX: usize = 100;
/// Characters of an e-mail, at most (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;
/// Characters of a password, at least.
const PASSWORD_CHARS_MIN: usize = 6;
/// Characters of a password, at most.
const PASSWORD_CHARS_MAX: usize = 256;

/// A sign-up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(max_length = 254, example = "minji@example.com")]
    email: String,
    #[schema(min_length = 6, max_length = 256)]
    password: String,
}

impl NewUser {
    fn check(self) -> Result<NewAccount, Problem> {
        let Self { name, email, password } = self;
        if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(Problem::field("name", format!("has 1 to {NAME_CHARS_MAX} characters")));
        }
        if !is_email(email.trim()) {
            return Err(Problem::field("email", "is not an e-mail address"));
        }
        let chars = password.chars().count();
        if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
            let detail = format!("has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters");
            return Err(Problem::field("password", detail));
        }
        Ok(NewAccount { name, email, password })
    }
}

/// Something before and after one `@`, no blanks. Only sending to it would tell more.
fn is_email(text: &str) -> bool {
    let parts: Vec<_> = text.split('@').collect();
    matches!(parts[..], [local, domain] if !local.is_empty() && !domain.is_empty())
        && text.chars().count() <= EMAIL_CHARS_MAX
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// A user, as they themselves see it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
    id: Uuid,
    /// The same as `id`.
    user_id: Uuid,
    name: String,
    email: String,
    #[schema(example = "fan")]
    role: &'static str,
}

impl From<Profile> for UserView {
    fn from(profile: Profile) -> Self {
        let Profile { user_id, role, name, email } = profile;
        Self { id: user_id.0, user_id: user_id.0, name, email, role: role.as_str() }
    }
}

/// Sign up.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser, responses(
    (status = 201, description = "signed up", body = UserView),
    (status = 409, description = "the e-mail is taken", body = ProblemDocument, content_type = "application/problem+json"),
    (status = 422, description = "a field is wrong", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(api): State<Api>,
    IdempotencyKey(key): IdempotencyKey,
    trail: Trail,
    ApiJson { value, bytes }: ApiJson<NewUser>,
) -> Result<(StatusCode, At<Json<UserView>>), Problem> {
    let account = value.check()?;
    let id = match key {
        Some(key) => api.idempotency.reserve("POST /users", &key, &bytes).await?.resource,
        None => Uuid::now_v7(),
    };
    let user = UserId(id);
    let (profile, position) = api.accounts.register(user, Role::Fan, account, &trail.metadata(user)).await?;
    Ok((StatusCode::CREATED, At(position, Json(profile.into()))))
}

/// One's own data.
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = Uuid, Path)), security(("token" = [])), responses(
    (status = 200, body = UserView),
    (status = 404, description = "no such user, or erased", body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn read(
    State(api): State<Api>,
    caller: Caller,
    min: MinPosition,
    Id(id): Id,
) -> Result<Json<UserView>, Problem> {
    caller.must_be_self(UserId(id))?;
    min.wait(|position| reached(&api, position)).await?;
    Ok(Json(api.accounts.profile(UserId(id)).await?.into()))
}

/// Be forgotten: name and e-mail can never be read again.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", params(("id" = Uuid, Path)), security(("token" = [])), responses(
    (status = 204, description = "erased"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn erase(
    State(api): State<Api>,
    caller: Caller,
    trail: Trail,
    Id(id): Id,
) -> Result<At<StatusCode>, Problem> {
    caller.must_be_self(UserId(id))?;
    let position = api.accounts.erase(UserId(id), &trail.metadata(caller.user)).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

/// Whether the journal has come to `position`, within the bound.
pub(super) async fn reached(api: &Api, position: journal::Position) -> bool {
    tokio::time::timeout(MIN_POSITION_WAIT_MAX, api.journal.reached(position)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_has_one_at_and_no_blanks() {
        for good in ["a@b", "minji@example.com", "민지@예시.한국"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
