//! Bodies, paths and queries, with errors that name the field.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use futures::StreamExt;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IgnoredAny},
};
use uuid::Uuid;

use super::problem::{Kind, Problem};

/// Bytes of a body, at most; beyond it the answer is 413.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a body that is too large which are still read, at most; beyond it the connection is closed.
const BODY_BYTES_DRAINED_MAX: usize = 16 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_WAIT_MAX: Duration = Duration::from_secs(20);

/// A JSON body, and the bytes it came as.
pub(super) struct ApiJson<T> {
    pub value: T,
    pub bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = tokio::time::timeout(BODY_WAIT_MAX, read(request.into_body())).await.unwrap_or_else(|_| {
            Err(Problem::new(Kind::MalformedJson, format!("the body did not arrive within {BODY_WAIT_MAX:?}")))
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        if let Err(error) = std::str::from_utf8(text) {
            return Err(Problem::new(Kind::MalformedJson, format!("the body is not UTF-8: {error}")));
        }
        // A struct would also be read from an array of its fields; nobody should come to rely on that.
        if !text.trim_ascii_start().starts_with(b"{") {
            serde_json::from_slice::<IgnoredAny>(text)
                .map_err(|error| Problem::new(Kind::MalformedJson, error.to_string()))?;
            return Err(Problem::new(Kind::InvalidRequest, "the body must be a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_slice(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| json_problem(error, text))?;
        json.end().map_err(|error| Problem::new(Kind::MalformedJson, error.to_string()))?;
        Ok(Self { value, bytes })
    }
}

/// Reads a body within the bound. One that is too large is read on and thrown away, within another bound, so that the
/// client, which sends it all before it listens, gets to see the answer.
async fn read(body: Body) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Kind::MalformedJson, "the body could not be read to its end"))?;
        length += chunk.len();
        if length > BODY_BYTES_DRAINED_MAX {
            break;
        }
        if length <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&chunk);
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(Problem::new(Kind::BodyTooLarge, format!("a body has at most {BODY_BYTES_MAX} bytes")));
    }
    Ok(bytes.into())
}

/// A JSON object, and nothing that a struct could also be read from.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(json: D) -> Result<T, D::Error> {
    let object = serde_json::Map::deserialize(json)?;
    serde_path_to_error::deserialize(serde_json::Value::Object(object)).map_err(|error| {
        match error.path().to_string() {
            path if path == "." => D::Error::custom(error.into_inner()),
            path => D::Error::custom(format!("{path}: {}", error.into_inner())),
        }
    })
}

fn json_problem(error: serde_path_to_error::Error<serde_json::Error>, text: &[u8]) -> Problem {
    let path = error.path().to_string();
    let error = error.into_inner();
    // Where a type is expected that cannot begin so, serde_json speaks of syntax although there is nothing wrong with it.
    let is_json = serde_json::from_slice::<IgnoredAny>(text).is_ok();
    match error.classify() {
        category if is_json || category == serde_json::error::Category::Data => {
            let detail = error.to_string();
            // A missing field is named in the message only, any other by its path.
            let missing = detail.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
            let field = match (path.as_str(), missing) {
                (".", Some(name)) => name.to_owned(),
                (path, Some(name)) => format!("{path}.{name}"),
                (".", None) => String::new(),
                (path, None) => path.to_owned(),
            };
            // Where in the text it broke off says less than the field's name.
            let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
            if field.is_empty() { Problem::new(Kind::InvalidRequest, detail) } else { Problem::field(&field, detail) }
        }
        _ => Problem::new(Kind::MalformedJson, error.to_string()),
    }
}

/// An id in the path. One that is no UUID names nothing.
pub(super) struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unknown = || Problem::new(Kind::NotFound, "there is nothing with this id");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| unknown())?;
        text.parse().map(Self).map_err(|_| unknown())
    }
}

/// A query string.
pub(super) struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::<T>::from_request_parts(parts, state).await.map(|Query(value)| Self(value)).map_err(|error| {
            let text = error.body_text();
            let said = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            match said.split_once(": ") {
                Some((field, detail)) => Problem::field(field, detail),
                None => Problem::new(Kind::InvalidRequest, said),
            }
        })
    }
}
