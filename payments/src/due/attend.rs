//! Does what is due. The payment in the journal says what that is; the table only says where to look.

use std::sync::Arc;

use aggregates::{Payment, PaymentCommand, PaymentId};
use chrono::{Duration, Utc};
use futures::{StreamExt, stream};
use journal::{Journal, Metadata, with_causes};
use uuid::Uuid;

use super::{DueError, Followed, Kind, backoff, call, follow, stored_reason};
use crate::{
    Cancel, Provider, ProviderPayment,
    judge::{self, Due, Found},
};

/// Payments of one kind of work attended to at once, at most.
const AT_ONCE_MAX: usize = 8;
/// Payments of one kind of work taken from the table at once, at most.
const ROUND_MAX: i64 = 256;
/// After how long what was done is looked at again, should it not be noted by then.
const LOOK_AGAIN: Duration = Duration::seconds(60);

/// Attends to due payments.
pub struct Attendant {
    journal: Journal,
    provider: Arc<dyn Provider>,
    actor: Arc<str>,
    settle_after: Duration,
}

/// Work that is due.
#[derive(Clone, Copy)]
struct Work {
    payment: PaymentId,
    kind: Kind,
    tries: i32,
    /// Refusals for certain, so far.
    refusals: u32,
}

/// What attending came to.
enum Attended {
    /// Nothing is left to do.
    Done,
    /// It is too early to say; look again then.
    NotYet(Duration),
    /// It failed; try again later.
    Later(String),
    /// The provider refused for certain; try again later, under another name.
    Refused(String),
    /// No rule is for it. It stays until a person has looked, and is looked at again now and then.
    Person(&'static str),
}

impl Attendant {
    /// Over `journal`, asking `provider`.
    pub fn new(journal: Journal, provider: Arc<dyn Provider>) -> Self {
        Self { journal, provider, actor: "payments".into(), settle_after: judge::SETTLE_AFTER }
    }

    /// Leaves a try without an outcome alone for so long, if that is more than [`judge::SETTLE_AFTER`].
    pub fn settle_after(self, settle_after: Duration) -> Self {
        Self { settle_after, ..self }
    }

    /// Attends to what is due now, of every kind; whether there was anything.
    pub async fn round(&self) -> Result<bool, DueError> {
        let mut any = false;
        for kind in Kind::ALL {
            any |= self.round_of(kind).await?;
        }
        Ok(any)
    }

    /// Attends to what is due now of one kind; whether there was anything.
    pub async fn round_of(&self, kind: Kind) -> Result<bool, DueError> {
        let due: Vec<(Uuid, i32, i32)> = sqlx::query_as(
            "SELECT payment_id, tries, refusals FROM payment_work WHERE kind = $1 AND due_at <= now()
             ORDER BY due_at LIMIT $2",
        )
        .bind(kind.as_str())
        .bind(ROUND_MAX)
        .fetch_all(self.journal.pool())
        .await?;
        let any = !due.is_empty();
        let due = due.into_iter().map(|(payment, tries, refusals)| {
            let refusals = refusals.unsigned_abs();
            Work { payment: PaymentId(payment), kind, tries, refusals }
        });
        let mut attended =
            stream::iter(due).map(|work| async move { (work, self.attend(work).await) }).buffer_unordered(AT_ONCE_MAX);
        while let Some((work, outcome)) = attended.next().await {
            self.write_down(work, outcome).await?;
        }
        Ok(any)
    }

    async fn write_down(&self, work: Work, outcome: Attended) -> Result<(), DueError> {
        let Work { payment, kind, tries, .. } = work;
        let put_off = "UPDATE payment_work SET due_at = $3 WHERE payment_id = $1 AND kind = $2";
        let update = match outcome {
            // What follows from an event is deleted when that is noted; deleting it here could lose what was noted
            // meanwhile.
            Attended::Done if kind != Kind::Verify => {
                sqlx::query(put_off).bind(payment.0).bind(kind.as_str()).bind(Utc::now() + LOOK_AGAIN)
            }
            Attended::Done => {
                sqlx::query("DELETE FROM payment_work WHERE payment_id = $1 AND kind = $2 AND due_at <= now()")
                    .bind(payment.0)
                    .bind(kind.as_str())
            }
            Attended::Person(why) => sqlx::query(
                "UPDATE payment_work SET for_a_person = true, last_error = $4, due_at = $3
                 WHERE payment_id = $1 AND kind = $2",
            )
            .bind(payment.0)
            .bind(kind.as_str())
            .bind(Utc::now() + LOOK_AGAIN)
            .bind(why),
            Attended::NotYet(wait) => sqlx::query(put_off).bind(payment.0).bind(kind.as_str()).bind(Utc::now() + wait),
            failed @ (Attended::Later(_) | Attended::Refused(_)) => {
                let (reason, refused) = match failed {
                    Attended::Refused(reason) => (reason, 1),
                    Attended::Later(reason) => (reason, 0),
                    Attended::Done | Attended::NotYet(_) | Attended::Person(_) => return Ok(()),
                };
                let reason = stored_reason(&reason);
                tracing::warn!(%payment, kind = kind.as_str(), reason, "a payment needs another try");
                metrics::counter!("payment_work_retries_total").increment(1);
                sqlx::query(
                    "UPDATE payment_work
                     SET tries = tries + 1, refusals = refusals + $4, last_error = $5, due_at = $3
                     WHERE payment_id = $1 AND kind = $2",
                )
                .bind(payment.0)
                .bind(kind.as_str())
                .bind(Utc::now() + backoff(tries))
                .bind(refused)
                .bind(reason)
            }
        };
        update.execute(self.journal.pool()).await?;
        Ok(())
    }

    async fn attend(&self, work: Work) -> Attended {
        let Work { payment, kind, refusals, .. } = work;
        let state = match self.journal.load::<Payment>(payment.0).await {
            Ok(loaded) => loaded.state,
            Err(error) => return Attended::Later(with_causes(&error)),
        };
        let now = Utc::now();
        if let (Kind::Settle, Some(attempt)) = (kind, state.in_flight())
            && now - attempt.attempted_at < self.settle_after
        {
            return Attended::NotYet(self.settle_after - (now - attempt.attempted_at));
        }
        match judge::due(kind, payment, &state, now) {
            Due::Nothing => Attended::Done,
            Due::NotYet(wait) => Attended::NotYet(wait),
            Due::LookUp => self.look_up(payment, kind, &state).await,
            Due::Refund(cancel) => self.refund(payment, judge::after_refusals(cancel, payment, refusals)).await,
        }
    }

    async fn refund(&self, payment: PaymentId, cancel: Cancel) -> Attended {
        match judge::refunded(self.provider.cancel(cancel).await) {
            Ok(command) => self.append(payment, command).await,
            Err(error) if judge::is_refusal(&error) => Attended::Refused(with_causes(&error)),
            Err(error) => Attended::Later(with_causes(&error)),
        }
    }

    async fn look_up(&self, payment: PaymentId, kind: Kind, state: &Payment) -> Attended {
        let found = match self.provider.lookup_order(payment).await {
            Ok(found) => found,
            Err(error) => return Attended::Later(with_causes(&error)),
        };
        if found.as_ref().is_some_and(judge::more_follows)
            && let Err(error) = self.note_verify(payment).await
        {
            return Attended::Later(with_causes(&error));
        }
        let attended = match judge::found(kind, state, found.clone(), Utc::now()) {
            Found::Nothing => Attended::Done,
            Found::Person(why) => {
                call(payment, why);
                Attended::Person(why)
            }
            Found::Outcome(command) => self.append(payment, command).await,
            Found::LateMoney(command) => {
                tracing::warn!(%payment, "money came for a try that was given up");
                self.append(payment, command).await
            }
        };
        match (attended, found) {
            (Attended::Done, Some(paid)) => self.follow(payment, &paid).await,
            (attended, _) => attended,
        }
    }

    /// Two things follow, and somebody may be killed between them: then the payment is approved and nothing is left to
    /// settle, and yet it is not done with. Noted before the first of them, so that somebody looks again.
    async fn note_verify(&self, payment: PaymentId) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO payment_work (payment_id, kind, due_at) VALUES ($1, $2, now())
             ON CONFLICT (payment_id, kind) DO NOTHING",
        )
        .bind(payment.0)
        .bind(Kind::Verify.as_str())
        .execute(self.journal.pool())
        .await?;
        Ok(())
    }

    /// What else follows: the money may have been given back at the provider already.
    async fn follow(&self, payment: PaymentId, paid: &ProviderPayment) -> Attended {
        match follow(&self.journal, payment, paid, &self.metadata(payment)).await {
            Followed::Through => Attended::Done,
            Followed::Person(why) => Attended::Person(why),
            Followed::Later(why) => Attended::Later(why),
        }
    }

    /// Writes the outcome down; a refund that became due by it is attended to next.
    async fn append(&self, payment: PaymentId, command: PaymentCommand) -> Attended {
        match self.journal.execute::<Payment>(payment.0, command, &self.metadata(payment)).await {
            Ok(done) if done.state.refund_due().is_none() => Attended::Done,
            Ok(_) => Attended::Later("money must go back".to_owned()),
            Err(error) => Attended::Later(with_causes(&error)),
        }
    }

    fn metadata(&self, payment: PaymentId) -> Metadata {
        Metadata::of_request(Arc::clone(&self.actor), &format!("payment-{payment}"))
    }
}
