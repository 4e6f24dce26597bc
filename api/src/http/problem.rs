//! Errors as problem documents (RFC 9457). Every error of the layers below becomes a status here and nowhere else.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use journal::{AppendError, ExecuteError, Position, ReadError};
use payments::webhooks::InboxError;
use seals::{ReceiptError, SealError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::headers::POSITION;
use crate::accounts::{AccountError, KeyReused, PasswordError};

/// Seconds after which a client that met an overloaded or absent part should try again.
pub(super) const RETRY_AFTER_SECONDS: u16 = 1;

/// What went wrong, in stable names: the `type` is `urn:boxoffice:problem:` and the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    MalformedJson,
    InvalidRequest,
    BodyTooLarge,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    EmailTaken,
    IdempotencyKeyReused,
    SoldOut,
    MaxPerBooking,
    ConcertCanceled,
    CapacityBelowTaken,
    NotCancelable,
    PaymentDeclined,
    PaymentNotPayable,
    PaymentBusy,
    ProviderRefuses,
    Overloaded,
    ViewBehind,
    NotSealed,
    Internal,
}

impl Kind {
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::MalformedJson => ("malformed-json", StatusCode::BAD_REQUEST, "The body is not JSON"),
            Self::InvalidRequest => ("invalid-request", StatusCode::UNPROCESSABLE_ENTITY, "The request is not valid"),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, "Sign in first"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "You may not do this"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is no such thing"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "This cannot be done with it")
            }
            Self::EmailTaken => ("email-taken", StatusCode::CONFLICT, "The e-mail is taken"),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The Idempotency-Key stands for another request",
            ),
            Self::SoldOut => ("sold-out", StatusCode::CONFLICT, "Not enough tickets are left"),
            Self::MaxPerBooking => ("max-per-booking", StatusCode::CONFLICT, "Too many tickets for one booking"),
            Self::ConcertCanceled => ("concert-canceled", StatusCode::CONFLICT, "The concert was cancelled"),
            Self::CapacityBelowTaken => {
                ("capacity-below-taken", StatusCode::CONFLICT, "More tickets are held and sold already")
            }
            Self::NotCancelable => ("not-cancelable", StatusCode::CONFLICT, "The booking has ended otherwise"),
            Self::PaymentDeclined => ("payment-declined", StatusCode::PAYMENT_REQUIRED, "The payment was declined"),
            Self::PaymentNotPayable => ("payment-not-payable", StatusCode::CONFLICT, "This cannot be paid (any more)"),
            Self::PaymentBusy => ("payment-busy", StatusCode::SERVICE_UNAVAILABLE, "Pay a little later"),
            Self::ProviderRefuses => {
                ("provider-refuses", StatusCode::BAD_GATEWAY, "The payment provider does not take our calls")
            }
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "Try again a little later"),
            Self::ViewBehind => ("view-behind", StatusCode::SERVICE_UNAVAILABLE, "The view has not come so far yet"),
            Self::NotSealed => ("not-sealed", StatusCode::SERVICE_UNAVAILABLE, "This is not sealed yet"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong on our side"),
        }
    }
}

/// A problem document on its way out.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    members: Map<String, Value>,
    position: Option<Position>,
    retry_after_seconds: Option<u16>,
}

/// What a problem document looks like; further members depend on its type.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// Stable name of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:boxoffice:problem:sold-out")]
    kind: String,
    /// The same for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time.
    detail: String,
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after_seconds = match kind {
            Kind::PaymentBusy | Kind::Overloaded | Kind::ViewBehind | Kind::NotSealed => Some(RETRY_AFTER_SECONDS),
            _ => None,
        };
        Self { kind, detail: detail.into(), members: Map::new(), position: None, retry_after_seconds }
    }

    /// A field of the request that is wrong, by its name.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(Kind::InvalidRequest, format!("{field}: {detail}")).with("field", field)
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no such {what}"))
    }

    /// A further member, whose name is none of the standard ones.
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        debug_assert!(!["type", "title", "status", "detail", "instance"].contains(&member), "{member} is taken");
        self.members.insert(member.to_owned(), value.into());
        self
    }

    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    pub fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// What the client is told is vague; what the operator reads is not.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %error, "a request failed on our side");
        Self::new(Kind::Internal, "it was written down; please tell us the request id")
    }

    fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error = %error, "a request was put off");
        Self::new(Kind::Overloaded, "a part of the system is busy or away; nothing was changed that you were told of")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, status, title) = self.kind.row();
        let document = ProblemDocument {
            kind: format!("urn:boxoffice:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            members: self.members,
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(position) = self.position {
            headers.insert(HeaderName::from_static(POSITION), position.0.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(_) | ReadError::Repository(_) => Self::unavailable(&error),
            ReadError::Decode(_) | ReadError::Missing(_) | ReadError::Mirror(_) => Self::internal(&error),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        if error.is_transient() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl Problem {
    /// An error of a command, with the aggregate's own refusals mapped by `refused`.
    pub fn of_command<E: std::error::Error>(error: ExecuteError<E>, refused: impl FnOnce(E) -> Self) -> Self {
        match error {
            ExecuteError::Refused(refusal) => refused(refusal),
            ExecuteError::Append(error) => error.into(),
            ExecuteError::Read(error) => error.into(),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::EmailTaken => Self::new(Kind::EmailTaken, "somebody signed up with this e-mail already"),
            AccountError::WrongCredentials => Self::new(Kind::Unauthenticated, error.to_string()),
            AccountError::NoSuchUser => Self::not_found("user"),
            AccountError::Password(PasswordError::Overloaded) => Self::new(Kind::Overloaded, error.to_string()),
            AccountError::Execute(error) => Self::of_command(error, |refusal| Self::internal(&refusal)),
            AccountError::Database(error) => Self::unavailable(&error),
            AccountError::Password(PasswordError::Hash(_)) | AccountError::Sealed(_) => Self::internal(&error),
        }
    }
}

impl From<KeyReused> for Problem {
    fn from(error: KeyReused) -> Self {
        match error {
            KeyReused::OtherBody => Self::new(Kind::IdempotencyKeyReused, error.to_string()),
            KeyReused::Database(error) => Self::unavailable(&error),
        }
    }
}

impl From<InboxError> for Problem {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::WrongShape(wrong) => Self::field(wrong.field, wrong.detail),
            InboxError::Late | InboxError::Database(_) => Self::unavailable(&error),
        }
    }
}

impl From<SealError> for Problem {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Journal(error) => error.into(),
            SealError::Database(_) | SealError::Raced => Self::unavailable(&error),
            SealError::NotSealed { .. } => Self::new(Kind::NotSealed, error.to_string()),
            SealError::KeyFile { .. }
            | SealError::ForeignKey { .. }
            | SealError::NoSeals
            | SealError::Checkpoint { .. }
            | SealError::NoTile { .. }
            | SealError::OtherRoot { .. }
            | SealError::OtherRow { .. }
            | SealError::Shorter { .. } => Self::internal(&error),
        }
    }
}

impl From<ReceiptError> for Problem {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::NoSuchBooking => Self::not_found("booking"),
            ReceiptError::NotYet { .. } => Self::new(Kind::NotSealed, error.to_string()),
            ReceiptError::Seal(error) => error.into(),
        }
    }
}

impl From<audit::Error> for Problem {
    fn from(error: audit::Error) -> Self {
        match error {
            absent if absent.is_absent() => Self::new(Kind::NotFound, absent.to_string()),
            audit::Error::Connect(_) | audit::Error::Postgres(_) => Self::unavailable(&error),
            other => Self::internal(&other),
        }
    }
}

impl From<projections::Error> for Problem {
    fn from(error: projections::Error) -> Self {
        if error.is_transient() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}
