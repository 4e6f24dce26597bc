//! What was answered, and what it must have been.

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use super::Client;

/// What every problem's `type` begins with.
const PROBLEM: &str = "urn:boxoffice:problem:";

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, for messages.
    pub request: String,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's text.
    pub text: String,
    /// The body as JSON; null where it is none.
    pub body: Value,
}

impl Answer {
    pub(super) async fn of(request: String, response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { request, status, headers, text, body })
    }

    /// Must have this status, which is not a problem's.
    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}", self.request, self.text);
        self
    }

    /// Must be a problem of this status and type, with words for a human.
    #[track_caller]
    pub fn problem(self, status: u16, name: &str) -> Self {
        if let Some(wrong) = self.is_not_problem(status, name) {
            panic!("{wrong}");
        }
        self
    }

    /// In what it is not that problem.
    pub fn is_not_problem(&self, status: u16, name: &str) -> Option<String> {
        let wrong = |what: String| Some(format!("{}: {what}; {} {}", self.request, self.status, self.text));
        if self.status != status {
            return wrong(format!("expected {status}"));
        }
        if self.header("content-type") != Some("application/problem+json") {
            return wrong(format!("the content type is {:?}", self.header("content-type")));
        }
        if self.body["type"] != format!("{PROBLEM}{name}") {
            return wrong(format!("expected the problem {name}"));
        }
        if self.body["status"] != status {
            return wrong("`status` in the body is not the status".to_owned());
        }
        let words = |field: &str| self.body[field].as_str().is_some_and(|text| !text.is_empty());
        if !words("detail") || !words("title") {
            return wrong("a problem has a title and a detail".to_owned());
        }
        None
    }

    /// Text at a JSON pointer, which must be there.
    #[track_caller]
    pub fn text_at(&self, pointer: &str) -> String {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("{} answered without {pointer}: {}", self.request, self.text)).to_owned()
    }

    /// A count at a JSON pointer, which must be there.
    #[track_caller]
    pub fn number_at(&self, pointer: &str) -> u64 {
        let number = self.body.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("{} answered without {pointer}: {}", self.request, self.text))
    }

    /// The numbers of `tickets` of a concert: capacity, held, sold, available.
    #[track_caller]
    pub fn tickets(&self) -> [u64; 4] {
        ["capacity", "held", "sold", "available"].map(|name| self.number_at(&format!("/tickets/{name}")))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are text"))
    }

    /// `Boxoffice-Position`, which every answer to a command has.
    #[track_caller]
    pub fn position(&self) -> u64 {
        let position = self.header("boxoffice-position").and_then(|text| text.parse().ok());
        position.unwrap_or_else(|| panic!("{} answered without Boxoffice-Position: {:?}", self.request, self.headers))
    }

    /// `Retry-After`, in seconds: there, and not absurd.
    #[track_caller]
    pub fn retry_after(&self) -> u64 {
        let seconds = self.header("retry-after").and_then(|text| text.parse().ok());
        let seconds =
            seconds.unwrap_or_else(|| panic!("{} answered without Retry-After: {:?}", self.request, self.headers));
        assert!((1..=600).contains(&seconds), "Retry-After: {seconds}");
        seconds
    }

    /// Of a sign-in: `client` with the token that it gave.
    pub fn token_client(&self, client: &Client) -> Client {
        client.with_token(&self.text_at("/token"))
    }

    /// Whether it is any success.
    pub fn is_success(&self) -> bool {
        StatusCode::from_u16(self.status).is_ok_and(|status| status.is_success())
    }
}
