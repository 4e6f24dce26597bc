//! Does what follows from webhooks: by asking the provider, never by what they say.

use std::sync::Arc;

use aggregates::{Payment, PaymentId};
use chrono::{DateTime, Duration, Utc};
use futures::{StreamExt, stream};
use journal::{Journal, Loaded, Metadata, with_causes};

use super::{
    Change,
    rows::{self, Heeded, Row},
};
use crate::{
    Provider, ProviderPayment,
    due::{DueError, Followed, follow},
    judge::{self, Follows},
};

/// Payments that the provider is asked about at once, at most.
const AT_ONCE_MAX: usize = 8;
/// While a try is younger than this its own answer is waited for, which says the same and says whose request it was. It is
/// what a call to the provider may take, unless told otherwise ([`TIMEOUT_MS`](crate::toss::TIMEOUT_MS)), and
/// [`ANSWER_SLACK`].
pub const ANSWER_WAIT: Duration = Duration::seconds(1);
/// How much later than its call may take an answer can be in the log.
pub const ANSWER_SLACK: Duration = Duration::milliseconds(390);
/// How often the provider is asked, at most, before it is believed that it does not say what a webhook says: what it tells
/// and what it answers may come from two places, and one be behind the other. With the pauses between that takes 7 seconds.
pub const ASK_TRIES_MAX: i32 = 5;
/// Why it is asked again.
const NOT_SAID_YET: &str = "the provider does not say what the webhook says";

/// Heeds webhooks.
pub struct Heeder {
    journal: Journal,
    provider: Arc<dyn Provider>,
    actor: Arc<str>,
    answer_wait: Duration,
}

impl Heeder {
    /// Over `journal`, asking `provider`.
    pub fn new(journal: Journal, provider: Arc<dyn Provider>) -> Self {
        Self { journal, provider, actor: "payments".into(), answer_wait: ANSWER_WAIT }
    }

    /// With another [`ANSWER_WAIT`].
    pub fn answer_wait(self, answer_wait: Duration) -> Self {
        Self { answer_wait, ..self }
    }

    /// Heeds what is due now; whether there was anything.
    pub async fn round(&self) -> Result<bool, DueError> {
        let pool = self.journal.pool();
        let due = rows::due(pool).await?;
        let any = !due.is_empty();
        // What needs nobody else first, and in one go: most webhooks only say what is known.
        let (mut known, mut to_ask) = (Vec::new(), Vec::new());
        for (payment, rows) in due {
            match self.look(payment, &rows).await {
                Some(heeded) => known.push((rows, heeded)),
                None => to_ask.push((payment, rows)),
            }
        }
        rows::write_down(pool, &known).await?;
        let mut asked = stream::iter(to_ask)
            .map(|(payment, rows)| async move {
                let heeded = self.ask(payment, &rows).await;
                (rows, heeded)
            })
            .buffer_unordered(AT_ONCE_MAX);
        while let Some(heeded) = asked.next().await {
            rows::write_down(pool, &[heeded]).await?;
        }
        Ok(any)
    }

    /// What can be said without asking the provider; `None` where it must be asked. It need not be where nothing would
    /// follow even if all of it were true.
    async fn look(&self, payment: PaymentId, rows: &[Row]) -> Option<Heeded> {
        let state = match self.journal.load::<Payment>(payment.0).await {
            Ok(loaded) => loaded.state,
            Err(error) => return Some(failed(payment, with_causes(&error))),
        };
        let now = Utc::now();
        let is_known = |row: &Row| would_follow(&state, &row.change, now) == Some(Follows::Nothing);
        if rows.iter().all(|row| is_known(row) && !row.stands_for_more) {
            return Some(Heeded::Done(None));
        }
        let age = now - state.in_flight()?.attempted_at;
        (age < self.answer_wait).then(|| Heeded::NotYet(self.answer_wait - age))
    }

    async fn ask(&self, payment: PaymentId, rows: &[Row]) -> Heeded {
        let paid = match self.provider.lookup_order(payment).await {
            Ok(Some(paid)) => paid,
            // Whether a try came to nothing is for the attendant to find out.
            Ok(None) => return Heeded::Done(None),
            Err(error) => return failed(payment, with_causes(&error)),
        };
        let metadata = Metadata::of_request(Arc::clone(&self.actor), &format!("webhook-{payment}"));
        match follow(&self.journal, payment, &paid, &metadata).await {
            Followed::Through if self.says_otherwise(payment, rows, &paid).await => {
                Heeded::Later(NOT_SAID_YET.to_owned())
            }
            Followed::Through => Heeded::Done(None),
            Followed::Person(why) => Heeded::Done(Some(why)),
            Followed::Later(why) => failed(payment, why),
        }
    }

    /// Whether a webhook says of money that is ours what the provider did not say just now. Nobody else would find out,
    /// so it is worth asking again; of any other money the attendant will hear.
    async fn says_otherwise(&self, payment: PaymentId, rows: &[Row], paid: &ProviderPayment) -> bool {
        let Ok(Loaded { state, .. }) = self.journal.load::<Payment>(payment.0).await else { return true };
        let now = Utc::now();
        let is_unheard = |row: &Row| match would_follow(&state, &row.change, now) {
            Some(Follows::CancelBooking(_) | Follows::Person(_)) => row.tries + 1 < ASK_TRIES_MAX,
            Some(Follows::Nothing | Follows::Settle(_)) | None => false,
        };
        judge::follows(&state, paid, now) == Follows::Nothing && rows.iter().any(is_unheard)
    }
}

fn failed(payment: PaymentId, why: String) -> Heeded {
    tracing::warn!(%payment, why, "a webhook needs another try");
    metrics::counter!("payment_work_retries_total").increment(1);
    Heeded::Later(why)
}

/// What would follow if the provider said the same as the webhook; `None` where we do not know that status. This decides
/// only whether to ask: a lie can keep us from asking, which is what no webhook at all would do.
fn would_follow(state: &Payment, told: &Change, now: DateTime<Utc>) -> Option<Follows> {
    Some(judge::follows(state, &told.as_told_of(state)?, now))
}
