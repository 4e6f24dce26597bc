//! `/_sim`: the faults and the counts.

use axum::{
    Json,
    body::Bytes,
    extract::{State as Extracted, rejection::BytesRejection},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    answer::Refusal, books::Books, faults::Faults, language::Language, ledger::Counts, routes::readable,
    state::Simulator,
};

/// Faults and counts, side by side.
#[derive(Serialize)]
pub(super) struct View {
    #[serde(flatten)]
    faults: Faults,
    #[serde(flatten)]
    counts: Counts,
}

impl View {
    fn of(books: &Books) -> Json<Self> {
        Json(Self { faults: books.faults(), counts: books.ledger.counts })
    }
}

pub(super) async fn show(Extracted(simulator): Extracted<Simulator>) -> Json<View> {
    View::of(&simulator.books.lock())
}

/// Sets the faults that the body names and leaves the others as they are.
pub(super) async fn change(
    Extracted(simulator): Extracted<Simulator>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<View>, Response> {
    changed(&simulator, body).map_err(|refusal| refusal.told_in(Language::English))
}

fn changed(simulator: &Simulator, body: Result<Bytes, BytesRejection>) -> Result<Json<View>, Refusal> {
    let body = readable(body)?;
    let change: Value = serde_json::from_slice(&body).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let Value::Object(change) = change else {
        return Err(Refusal::BadFault("the body must be an object".into()));
    };
    let mut books = simulator.books.lock();
    books.change(&change)?;
    Ok(View::of(&books))
}

/// No fault any more, and counts from zero. The books stay: payments made so far can still be refunded.
pub(super) async fn reset(Extracted(simulator): Extracted<Simulator>) -> Result<Json<View>, Response> {
    let mut books = simulator.books.lock();
    books.reset().map_err(|refusal| refusal.told_in(Language::English))?;
    Ok(View::of(&books))
}
