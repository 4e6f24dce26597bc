//! The simulator as a value: its books and faults behind one lock, and what befalls each call.

use std::{io, path::Path, sync::Arc};

use axum::{
    Json,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use reqwest::Url;
use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;

use super::{
    answer::lost,
    books::Books,
    faults::{Fate, Faults},
    idempotency::Answer,
    ledger::Counts,
    record::Record,
    requests,
    webhooks::Notice,
};

/// One simulated provider. Clones are the same one.
#[derive(Clone, Default)]
pub struct Simulator {
    secret_key: Option<Arc<str>>,
    pub(super) webhook_url: Option<Url>,
    /// Set while somebody sends webhooks.
    pub(super) webhooks: Option<mpsc::Sender<Notice>>,
    /// Ends the wait of slow answers.
    pub(super) shutdown: CancellationToken,
    pub(super) state: Arc<Mutex<State>>,
}

/// What is behind the lock; never held across a wait.
#[derive(Default)]
pub(super) struct State {
    pub faults: Faults,
    pub books: Books,
}

/// Whether a call can move money. Only such a call's answer gets lost: lookups tell the truth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Command,
    Lookup,
}

impl Simulator {
    /// With empty books in memory and without faults; any secret key is accepted and no webhook sent.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the books that are kept in the file at `path`: payments, refunds, answers to idempotency keys and the counts
    /// but for that of calls, as they were left, however that process ended. Where there is no file yet, one is begun
    /// with empty books. Beside it stands `path` with `.lock` at its end.
    ///
    /// Blocks while it reads, a few seconds for full books. A torn last line is cut off with a warning. Errors:
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) while a simulator, of any process, has the file open;
    /// [`InvalidData`](io::ErrorKind::InvalidData), with the number of the line, if something else stands in it than a
    /// simulator writes; and what the file system says.
    ///
    /// While the file cannot be written, calls that would change the books are answered with 500 and change nothing.
    pub fn kept_in(path: &Path) -> io::Result<Self> {
        let state = State { faults: Faults::default(), books: Books::kept_in(path)? };
        Ok(Self { state: Arc::new(Mutex::new(state)), ..Self::default() })
    }

    /// Accepts only this secret key.
    pub fn secret_key(self, key: &str) -> Self {
        Self { secret_key: Some(key.into()), ..self }
    }

    /// Announces each change of a payment at `url`, while [`serve`](super::serve) runs.
    pub fn webhook_url(self, url: Url) -> Self {
        Self { webhook_url: Some(url), ..self }
    }

    /// What has happened since the books were begun or the counts last reset.
    pub fn counts(&self) -> Counts {
        self.state.lock().books.ledger.counts
    }

    /// The faults as they are set now.
    pub fn faults(&self) -> Faults {
        self.state.lock().faults
    }

    /// Answers one call: the fate is drawn, the effect happens, the answer follows after its latency or never.
    pub(super) async fn answer(
        &self,
        kind: Kind,
        headers: &HeaderMap,
        act: impl FnOnce(&mut State, &Fate) -> Answer,
    ) -> Response {
        let (fate, answer) = self.carry_out(headers, act);
        if !fate.latency.is_zero() {
            tokio::select! {
                () = time::sleep(fate.latency) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
        if fate.loses_answer && fate.fault.is_none() && kind == Kind::Command {
            return lost();
        }
        match answer {
            Ok(record) => Json(record.to_json()).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    fn carry_out(&self, headers: &HeaderMap, act: impl FnOnce(&mut State, &Fate) -> Answer) -> (Fate, Answer) {
        let mut state = self.state.lock();
        state.books.ledger.counts.calls += 1;
        let fate = state.faults.draw();
        let answer = match &fate.fault {
            Some(fault) => Err(fault.clone()),
            None => requests::authenticate(headers, self.secret_key.as_deref()).and_then(|()| act(&mut state, &fate)),
        };
        (fate, answer)
    }

    /// Announces a change. A full queue loses it, as it would be lost where nobody listens.
    pub(super) fn announce(&self, record: &Record, duplicates: u64) {
        let Some(webhooks) = &self.webhooks else { return };
        if webhooks.try_send(Notice::of(record, duplicates)).is_err() {
            tracing::warn!(order = &*record.order, "webhook dropped: the queue is full or nobody sends");
        }
    }
}
