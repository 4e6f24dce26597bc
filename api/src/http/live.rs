//! Counts as they change, by server-sent events.

use std::{convert::Infallible, time::Duration};

use aggregates::ConcertId;
use axum::{
    extract::State,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use projections::ConcertView;

use super::{
    concerts::Tickets,
    json::Id,
    problem::{Problem, ProblemDocument},
    state::Api,
};

/// How often a silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The counts now, and again whenever they change; of changes in quick succession only the latest is sent.
#[utoipa::path(get, path = "/concerts/{id}/tickets/live", tag = "concerts", params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, description = "events named `tickets`, each with the counts", body = Tickets, content_type = "text/event-stream"),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
))]
pub(super) async fn tickets(
    State(api): State<Api>,
    Id(id): Id,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let changes = api.concerts.watch(ConcertId(id)).await?.ok_or_else(|| Problem::not_found("concert"))?;
    let stream = stream::unfold((changes, api.stop.clone(), true), |(mut changes, stop, first)| async move {
        if !first {
            tokio::select! {
                () = stop.cancelled() => return None,
                news = changes.changed() => news.ok()?,
            }
        }
        let event = event(&changes.borrow_and_update());
        Some((Ok(event), (changes, stop, false)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(view: &ConcertView) -> Event {
    let event = Event::default().event("tickets").id(view.position.to_string());
    event.json_data(Tickets::from(view.counts)).unwrap_or_else(|error| unreachable!("four numbers are JSON: {error}"))
}
