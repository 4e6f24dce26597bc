//! Headers of our own and of others: positions, idempotency keys, preferences, request ids.

use std::time::Duration;

use aggregates::UserId;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::{IntoResponse, Response},
};
use journal::{Metadata, Position};
use uuid::Uuid;

use super::problem::{Kind, Problem};

/// Where a command's effect is in the log.
pub(super) const POSITION: &str = "boxoffice-position";
/// The position that a read must have come to.
const MIN_POSITION: &str = "boxoffice-min-position";
/// The same key and body stand for one effect.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Names a request in answers, logs and events.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// Characters in an idempotency key, at most.
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Characters in a request id, at most; a longer one is replaced.
const REQUEST_ID_CHARS_MAX: usize = 128;
/// How long a read waits for its view to come to a position.
pub(super) const MIN_POSITION_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a command waits for what follows from it.
pub(super) const FOLLOW_UP_WAIT_MAX: Duration = Duration::from_secs(10);

/// An answer with the position of its effect.
pub(super) struct At<T>(pub Position, pub T);

impl<T: IntoResponse> IntoResponse for At<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        response.headers_mut().insert(HeaderName::from_static(POSITION), HeaderValue::from(self.0.0));
        response
    }
}

/// `Boxoffice-Min-Position`, if given.
pub(super) struct MinPosition(pub Option<Position>);

impl MinPosition {
    /// Waits, within a bound, by `reached`; a view that is still behind then is an error.
    pub async fn wait<F: Future<Output = bool>>(self, reached: impl FnOnce(Position) -> F) -> Result<(), Problem> {
        let Some(position) = self.0 else { return Ok(()) };
        if reached(position).await {
            return Ok(());
        }
        Err(Problem::new(Kind::ViewBehind, format!("position {position} is not in this view yet")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(text) = parts.headers.get(MIN_POSITION) else { return Ok(Self(None)) };
        let position =
            text.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|n| i64::try_from(*n).is_ok());
        match position {
            Some(position) => Ok(Self(Some(Position(position)))),
            None => Err(Problem::field("Boxoffice-Min-Position", "is not a position")),
        }
    }
}

/// `Idempotency-Key`, if given.
pub(super) struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let key = value.to_str().map(str::trim).unwrap_or_default();
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_CHARS_MAX {
            let detail = format!("has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters");
            return Err(Problem::field("Idempotency-Key", detail));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

/// `Prefer` (RFC 7240): `respond-async`, or `wait=SECONDS`.
pub(super) struct Patience(pub Duration);

impl<S: Send + Sync> FromRequestParts<S> for Patience {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut patience = FOLLOW_UP_WAIT_MAX;
        let preferences = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for preference in preferences.flat_map(|value| value.split(',')).map(str::trim) {
            if preference.eq_ignore_ascii_case("respond-async") {
                patience = Duration::ZERO;
            } else if let Some(seconds) = preference.strip_prefix("wait=").and_then(|text| text.parse().ok()) {
                patience = patience.min(Duration::from_secs(seconds));
            }
        }
        Ok(Self(patience))
    }
}

/// The language of what people read, by `Accept-Language` (RFC 9110): the one of ours that is wanted most, the first of
/// those wanted alike; English where none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Korean,
}

impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let accepted = parts.headers.get("accept-language").and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self::wanted_most(accepted))
    }
}

impl Language {
    fn wanted_most(accepted: &str) -> Self {
        let mut most = (Self::English, 0.0);
        for (language, weight) in accepted.split(',').filter_map(weighed) {
            let (primary, _) = language.split_once('-').unwrap_or((language, ""));
            let ours = match primary.to_ascii_lowercase().as_str() {
                "ko" => Self::Korean,
                "en" => Self::English,
                _ => continue,
            };
            if weight > most.1 {
                most = (ours, weight);
            }
        }
        most.0
    }
}

/// A language and how much it is wanted: 1, where `q` does not say less. What is no weight is wanted not at all.
fn weighed(range: &str) -> Option<(&str, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let language = parts.next()?;
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight = q.map_or(Some(1.0), |text| text.parse().ok()).filter(|weight| (0.0..=1.0).contains(weight))?;
    Some((language, weight))
}

/// In what connection a request stands.
#[derive(Clone)]
pub(super) struct Trail {
    pub request: String,
    pub traceparent: String,
}

impl Trail {
    /// The client's ids where they are well-formed, new ones else.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let is_id =
            |id: &&str| !id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.bytes().all(|b| b.is_ascii_graphic());
        let request = text(REQUEST_ID).filter(is_id).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        let traceparent = text(TRACEPARENT)
            .filter(|text| is_traceparent(text))
            .map_or_else(|| format!("00-{}-{:016x}-01", Uuid::new_v4().simple(), rand::random::<u64>()), str::to_owned);
        Self { request, traceparent }
    }

    /// What the events of this request say about their making.
    pub fn metadata(&self, user: UserId) -> Metadata {
        let mut metadata = Metadata::of_request(format!("user:{user}"), &self.request);
        metadata.traceparent = Some(self.traceparent.as_str().into());
        metadata
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trail {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, as the W3C trace context has it.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    matches!(parts[..], [version, trace, span, flags]
        if version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2)
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_wanted_most() {
        for (accepted, expected) in [
            ("", Language::English),
            ("ko", Language::Korean),
            ("ko-KR,ko;q=0.9,en-US;q=0.8", Language::Korean),
            ("en;q=0.8, ko;q=0.9", Language::Korean),
            ("ko;q=0.1, en", Language::English),
            ("en;q=0.5,ko;q=0.5", Language::English),
            ("ko;q=0, fr", Language::English),
            ("kok, de;q=0.9", Language::English),
            ("KO-kr;Q=0.3", Language::Korean),
            ("ko;q=much, en;q=0.1", Language::English),
        ] {
            assert_eq!(Language::wanted_most(accepted), expected, "{accepted:?}");
        }
    }

    #[test]
    fn ids_from_outside_are_taken_only_when_well_formed() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(good));
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc"));
        let trail = Trail::of(&headers);
        assert_eq!((trail.request.as_str(), trail.traceparent.as_str()), ("abc", good));
        headers.insert(TRACEPARENT, HeaderValue::from_static("00-XYZ-1-01"));
        headers.insert(REQUEST_ID, HeaderValue::from_static("a b"));
        let trail = Trail::of(&headers);
        assert!(trail.request != "a b" && is_traceparent(&trail.traceparent), "{}", trail.traceparent);
    }
}
