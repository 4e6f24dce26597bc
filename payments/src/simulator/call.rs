//! One call that can move money, and what befalls it.

use std::sync::Arc;

use axum::{http::HeaderMap, response::Response};

use super::{
    answer::{Refusal, lost},
    books::Books,
    faults::Fate,
    idempotency::Answer,
    state::{Simulator, told},
};

/// A confirmation or a cancellation.
#[derive(Clone)]
pub(super) struct Call {
    pub simulator: Simulator,
    pub headers: HeaderMap,
    /// The name under which its answer is remembered, if it has one.
    pub under: Result<Option<Arc<str>>, Refusal>,
}

/// When it has its effect.
enum When {
    Never(Refusal),
    /// Before the latency, which is then that of the answer.
    AtOnce,
    /// After the latency.
    Late,
}

impl Call {
    /// Draws its fate, has `act` do what it asks for, and answers, unless the answer gets lost.
    pub async fn carry_out<F>(self, act: F) -> Response
    where
        F: FnOnce(&Self, &mut Books, &Fate) -> Answer + Send + 'static,
    {
        let (fate, when) = self.begin();
        let answer = match when {
            When::Never(refusal) => {
                self.simulator.sleep(fate.latency).await;
                Err(refusal)
            }
            When::AtOnce => {
                let answer = act(&self, &mut self.simulator.books.lock(), &fate);
                self.simulator.sleep(fate.latency).await;
                answer
            }
            When::Late => {
                let (call, fate) = (self.clone(), fate.clone());
                let effect = self.simulator.late.spawn(async move {
                    call.simulator.sleep(fate.latency).await;
                    let mut books = call.simulator.books.lock();
                    if let Ok(Some(name)) = &call.under {
                        books.end(name);
                    }
                    act(&call, &mut books, &fate)
                });
                effect.await.unwrap_or_else(|error| {
                    tracing::error!(%error, "a late effect failed");
                    Err(Refusal::Fault)
                })
            }
        };
        if fate.loses_answer && fate.fault.is_none() { lost() } else { told(&answer, &self.headers) }
    }

    fn begin(&self) -> (Fate, When) {
        let mut books = self.simulator.books.lock();
        let fate = books.take();
        let when = match self.simulator.admit(&self.headers, &fate) {
            Err(refusal) => When::Never(refusal),
            Ok(()) if !fate.comes_late => When::AtOnce,
            Ok(()) => match &self.under {
                // Told at once what was answered before, or that it is being carried out.
                Ok(Some(name)) if !books.begin(name) => When::AtOnce,
                Ok(_) => When::Late,
                Err(_) => When::AtOnce,
            },
        };
        (fate, when)
    }
}
