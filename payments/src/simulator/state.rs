//! The simulator as a value: its books and faults behind one lock.

use std::{io, path::Path, sync::Arc, time::Duration};

use axum::{
    Json,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use reqwest::Url;
use tokio::{sync::mpsc, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::Refusal,
    books::Books,
    faults::{Fate, Faults},
    idempotency::Answer,
    language::Language,
    ledger::{Counts, Ledger},
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
    /// Effects that come late. They come whoever waits for them.
    pub(super) late: TaskTracker,
    /// The lock is never held across a wait.
    pub(super) books: Arc<Mutex<Books>>,
}

impl Simulator {
    /// With empty books in memory and without faults; any secret key is accepted and no webhook sent.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the books that are kept in the file at `path`: payments, refunds, answers to idempotency keys, faults and the
    /// counts but for that of calls, as they were left, however that process ended. Where there is no file yet, one is begun
    /// with empty books. Beside it stands `path` with `.lock` at its end.
    ///
    /// Blocks while it reads, a few seconds for full books. A torn last line is cut off with a warning. Errors:
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) while a simulator, of any process, has the file open;
    /// [`InvalidData`](io::ErrorKind::InvalidData), with the number of the line, if something else stands in it than a
    /// simulator writes; and what the file system says.
    ///
    /// While the file cannot be written, calls that would change the books are answered with 500 and change nothing.
    pub fn kept_in(path: &Path) -> io::Result<Self> {
        Ok(Self { books: Arc::new(Mutex::new(Books::kept_in(path)?)), ..Self::default() })
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
        self.books.lock().ledger.counts
    }

    /// The faults as they are set now.
    pub fn faults(&self) -> Faults {
        self.books.lock().faults()
    }

    /// Answers a call that moves nothing. Nothing of it gets lost: lookups tell the truth.
    pub(super) async fn look_up(&self, headers: &HeaderMap, find: impl FnOnce(&Ledger) -> Answer) -> Response {
        let (fate, answer) = {
            let mut books = self.books.lock();
            let fate = books.take();
            let answer = self.admit(headers, &fate).and_then(|()| find(&books.ledger));
            (fate, answer)
        };
        self.sleep(fate.latency).await;
        told(&answer, headers)
    }

    /// What keeps a call from being looked at.
    pub(super) fn admit(&self, headers: &HeaderMap, fate: &Fate) -> Result<(), Refusal> {
        match &fate.fault {
            Some(fault) => Err(fault.clone()),
            None => requests::authenticate(headers, self.secret_key.as_deref()),
        }
    }

    /// Waits, but not beyond the end.
    pub(super) async fn sleep(&self, latency: Duration) {
        if !latency.is_zero() {
            self.shutdown.run_until_cancelled(time::sleep(latency)).await;
        }
    }

    /// Announces a change. A full queue loses it, as it would be lost where nobody listens.
    pub(super) fn announce(&self, record: &Record, faults: Faults) {
        let Some(webhooks) = &self.webhooks else { return };
        let order = &*record.order;
        let notice = match Notice::of(record, faults) {
            Ok(notice) => notice,
            Err(error) => return tracing::error!(order, %error, "webhook dropped: it cannot be written"),
        };
        if webhooks.try_send(notice).is_err() {
            tracing::warn!(order, "webhook dropped: the queue is full or nobody sends");
        }
    }
}

/// An answer in the words that its caller asks for.
pub(super) fn told(answer: &Answer, headers: &HeaderMap) -> Response {
    let language = Language::of(headers);
    let shown = answer.as_ref().map_err(Clone::clone).and_then(|record| {
        record.to_json(language).map_err(|error| {
            tracing::error!(%error, "a payment cannot be written");
            Refusal::Fault
        })
    });
    match shown {
        Ok(payment) => Json(payment).into_response(),
        Err(refusal) => refusal.told_in(language),
    }
}
