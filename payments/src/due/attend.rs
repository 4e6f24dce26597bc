//! Does what is due. The payment in the journal says what that is; the table only says where to look.

use std::sync::Arc;

use aggregates::{
    AttemptId, Payment, PaymentCommand, PaymentId,
    payment::{Attempt, Outcome},
};
use chrono::{Duration, Utc};
use futures::{StreamExt, stream};
use journal::{Journal, Metadata};
use uuid::Uuid;

use super::{DueError, Kind};
use crate::{Cancel, Provider, ProviderError, cashier::approved};

/// Payments attended to at once, at most.
const AT_ONCE_MAX: usize = 8;
/// Payments taken from the table at once, at most.
const ROUND_MAX: i64 = 256;
/// Seconds after which what failed once is tried again; doubled with every try.
const BACKOFF_SECONDS: f64 = 0.5;
/// Seconds between two tries, at most.
const BACKOFF_SECONDS_MAX: f64 = 60.0;
/// Characters kept of why something failed.
const REASON_CHARS_MAX: usize = 500;
/// A try without an outcome is looked into when it is older than this: far more than any call to the provider may take.
pub(super) const SETTLE_AFTER: Duration = Duration::seconds(10);
/// After how long what was done is looked at again, should it not be noted by then.
const LOOK_AGAIN: Duration = Duration::seconds(60);
/// How long a refund waits for the try in flight to be settled, before it looks again.
const WAIT_FOR_SETTLING: Duration = Duration::milliseconds(500);
/// After this the provider takes no money under a payment key any more: Toss Payments gives the buyer 10 minutes, and we
/// wait a little longer.
pub(super) const BUYER_SESSION: Duration = Duration::minutes(11);
/// What the buyer reads on a statement beside a refund.
const REFUND_REASON: &str = "booking cancelled";

/// Attends to due payments.
pub struct Attendant {
    journal: Journal,
    provider: Arc<dyn Provider>,
    actor: Arc<str>,
}

/// What attending came to.
enum Attended {
    /// Nothing is left to do.
    Done,
    /// It is too early to say; look again then.
    NotYet(Duration),
    /// It failed; try again later.
    Later(String),
}

impl Attendant {
    /// Over `journal`, asking `provider`.
    pub fn new(journal: Journal, provider: Arc<dyn Provider>) -> Self {
        Self { journal, provider, actor: "payments".into() }
    }

    /// Attends to what is due now; whether there was anything.
    pub async fn round(&self) -> Result<bool, DueError> {
        let due: Vec<(Uuid, String)> =
            sqlx::query_as("SELECT payment_id, kind FROM payment_work WHERE due_at <= now() ORDER BY due_at LIMIT $1")
                .bind(ROUND_MAX)
                .fetch_all(self.journal.pool())
                .await?;
        let any = !due.is_empty();
        let due = due.into_iter().filter_map(|(payment, kind)| Some((PaymentId(payment), Kind::from_str(&kind)?)));
        let mut attended = stream::iter(due)
            .map(|(payment, kind)| async move { (payment, kind, self.attend(payment, kind).await) })
            .buffer_unordered(AT_ONCE_MAX);
        while let Some((payment, kind, outcome)) = attended.next().await {
            self.write_down(payment, kind, outcome).await?;
        }
        Ok(any)
    }

    async fn write_down(&self, payment: PaymentId, kind: Kind, outcome: Attended) -> Result<(), DueError> {
        let update = match outcome {
            // What follows from an event is deleted when that is noted; deleting it here could lose what was noted
            // meanwhile.
            Attended::Done if kind != Kind::Verify => {
                sqlx::query("UPDATE payment_work SET due_at = $3 WHERE payment_id = $1 AND kind = $2")
                    .bind(payment.0)
                    .bind(kind.as_str())
                    .bind(Utc::now() + LOOK_AGAIN)
            }
            Attended::Done => {
                sqlx::query("DELETE FROM payment_work WHERE payment_id = $1 AND kind = $2 AND due_at <= now()")
                    .bind(payment.0)
                    .bind(kind.as_str())
            }
            Attended::NotYet(wait) => {
                sqlx::query("UPDATE payment_work SET due_at = $3 WHERE payment_id = $1 AND kind = $2")
                    .bind(payment.0)
                    .bind(kind.as_str())
                    .bind(Utc::now() + wait)
            }
            Attended::Later(reason) => {
                // What Postgres cannot hold as text must not keep the others waiting.
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
                tracing::warn!(%payment, kind = kind.as_str(), reason, "a payment needs another try");
                metrics::counter!("payment_work_retries_total").increment(1);
                sqlx::query(
                    "UPDATE payment_work SET tries = tries + 1, last_error = $3,
                            due_at = now() + least($4 * power(2, least(tries, 20)), $5) * interval '1 second'
                     WHERE payment_id = $1 AND kind = $2",
                )
                .bind(payment.0)
                .bind(kind.as_str())
                .bind(reason)
                .bind(BACKOFF_SECONDS)
                .bind(BACKOFF_SECONDS_MAX)
            }
        };
        update.execute(self.journal.pool()).await?;
        Ok(())
    }

    async fn attend(&self, payment: PaymentId, kind: Kind) -> Attended {
        let state = match self.journal.load::<Payment>(payment.0).await {
            Ok(loaded) => loaded.state,
            Err(error) => return Attended::Later(error.to_string()),
        };
        match (kind, state.in_flight()) {
            (Kind::Settle, Some(attempt)) => self.settle(payment, &state, attempt).await,
            (Kind::Settle, None) => Attended::Done,
            // Whether there is money to send back, or other money than expected, shows when the try is settled.
            (Kind::Refund | Kind::Verify, Some(_)) => Attended::NotYet(WAIT_FOR_SETTLING),
            (Kind::Refund, None) => self.refund(payment, &state).await,
            (Kind::Verify, None) => self.verify(payment, &state).await,
        }
    }

    /// Finds out what became of a try. One that may still be on its way is left alone.
    async fn settle(&self, payment: PaymentId, state: &Payment, attempt: &Attempt) -> Attended {
        let age = Utc::now() - attempt.attempted_at;
        if age < SETTLE_AFTER {
            return Attended::NotYet(SETTLE_AFTER - age);
        }
        let outcome = match self.charged(payment, state).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Outcome::NotDone { reason: "the provider knows of no money".to_owned() },
            Err(error) => return Attended::Later(error.to_string()),
        };
        self.append(payment, PaymentCommand::Settle { attempt_id: attempt.attempt_id, outcome }).await
    }

    /// Looks once more at a try that was given up: a provider that was very slow may have taken the money after all.
    async fn verify(&self, payment: PaymentId, state: &Payment) -> Attended {
        let Some(attempt_id) = state.given_up().map(|refused| refused.attempt_id) else { return Attended::Done };
        if state.approved().is_some() {
            return Attended::Done;
        }
        match self.charged(payment, state).await {
            Ok(Some(outcome)) => {
                tracing::warn!(%payment, attempt = %attempt_id, "money came for a try that was given up");
                self.append(payment, PaymentCommand::Settle { attempt_id, outcome }).await
            }
            Ok(None) => Attended::Done,
            Err(error) => Attended::Later(error.to_string()),
        }
    }

    /// The money that the provider has taken for this payment, if it has.
    async fn charged(&self, payment: PaymentId, state: &Payment) -> Result<Option<Outcome>, ProviderError> {
        let amount = state.request().map(|request| request.amount);
        let paid = self.provider.lookup_order(payment).await?;
        Ok(paid.filter(|paid| paid.status.was_charged() && Some(paid.amount) == amount).map(approved))
    }

    async fn refund(&self, payment: PaymentId, state: &Payment) -> Attended {
        let Some(due) = state.refund_due() else { return Attended::Done };
        let cancel = Cancel {
            payment_key: due.payment_key.clone(),
            reason: REFUND_REASON.to_owned(),
            idempotency_key: AttemptId::refund(payment),
        };
        match self.provider.cancel(cancel).await {
            Ok(_) | Err(ProviderError::AlreadyProcessed) => self.append(payment, PaymentCommand::Refunded).await,
            Err(error) => Attended::Later(error.to_string()),
        }
    }

    /// Writes the outcome down; a refund that became due by it is attended to next.
    async fn append(&self, payment: PaymentId, command: PaymentCommand) -> Attended {
        let metadata = Metadata::of_request(Arc::clone(&self.actor), &format!("payment-{payment}"));
        match self.journal.execute::<Payment>(payment.0, command, &metadata).await {
            Ok(done) if done.state.refund_due().is_none() => Attended::Done,
            Ok(_) => Attended::Later("money must go back".to_owned()),
            Err(error) => Attended::Later(error.to_string()),
        }
    }
}
