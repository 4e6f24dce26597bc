//! `/_sim`: the faults and the counts.

use axum::{
    Json,
    body::Bytes,
    extract::{State as Extracted, rejection::BytesRejection},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    answer::Refusal,
    faults::Faults,
    ledger::Counts,
    routes::readable,
    state::{Simulator, State},
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
    fn of(state: &State) -> Json<Self> {
        Json(Self { faults: state.faults, counts: state.books.ledger.counts })
    }
}

pub(super) async fn show(Extracted(simulator): Extracted<Simulator>) -> Json<View> {
    View::of(&simulator.state.lock())
}

/// Sets the faults that the body names and leaves the others as they are.
pub(super) async fn change(
    Extracted(simulator): Extracted<Simulator>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<View>, Refusal> {
    let body = readable(body)?;
    let change: Value = serde_json::from_slice(&body).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let Value::Object(change) = change else {
        return Err(Refusal::BadFault("the body must be an object".into()));
    };
    let mut state = simulator.state.lock();
    state.faults = state.faults.changed(&change).map_err(Refusal::BadFault)?;
    Ok(View::of(&state))
}

/// No fault any more, and counts from zero. The books stay: payments made so far can still be refunded.
pub(super) async fn reset(Extracted(simulator): Extracted<Simulator>) -> Result<Json<View>, Refusal> {
    let mut state = simulator.state.lock();
    state.books.reset()?;
    state.faults = Faults::default();
    Ok(View::of(&state))
}
