//! Paying a booking: intent before effect, and the outcome once it is certain. What to do is the judge's to say; it is
//! done here.

use std::{sync::Arc, time::Duration};

use aggregates::{AttemptId, Payment, PaymentCommand, PaymentError, PaymentId, PaymentStatus, payment::Outcome};
use chrono::Utc;
use journal::{ExecuteError, Executed, Journal, Metadata, Position};
use thiserror::Error;

use crate::{
    Provider, ProviderError,
    guard::{BreakerState, Guard, GuardOptions, Heard},
    judge::{self, Over, Step},
};

/// After how long somebody who was put off should try again, at least.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(2);

/// Takes money through the provider, and writes down what it does before it does it.
#[derive(Clone)]
pub struct Cashier {
    journal: Journal,
    provider: Arc<dyn Provider>,
    guard: Guard,
}

/// What a try to pay came to.
#[derive(Clone, Debug)]
pub enum Approval {
    /// The money is ours.
    Approved {
        /// The payment after it.
        payment: Box<Payment>,
        /// Where that is in the log.
        position: Position,
    },
    /// The provider said no; another try may be made while the tickets are held.
    Declined {
        /// The provider's code.
        code: String,
        /// The provider's words.
        message: String,
        /// Where that is in the log.
        position: Position,
    },
    /// The provider is overloaded or out of reach, or its answer was lost: pay a little later. The same try again
    /// settles it.
    Later {
        /// After how long a try can fare better.
        retry_after: Duration,
        /// Whether the tickets are kept until then.
        kept: bool,
        /// Where the log was then.
        position: Position,
    },
}

/// Why a try to pay could not be made.
#[derive(Debug, Error)]
pub enum ApproveError {
    /// The payment refuses it, or the journal did not take it.
    #[error(transparent)]
    Execute(#[from] ExecuteError<PaymentError>),
    /// The provider does not take our calls; the operator must look.
    #[error("the payment provider refuses our calls: {0}")]
    Provider(ProviderError),
}

impl Cashier {
    /// A cashier over `journal`, who asks `provider` as long as that is of use.
    pub fn new(journal: Journal, provider: Arc<dyn Provider>, options: GuardOptions) -> Self {
        Self { journal, provider, guard: Guard::new(options) }
    }

    /// What the circuit breaker would do with a try that came now.
    pub fn breaker(&self) -> BreakerState {
        self.guard.state()
    }

    /// Pays `payment` by `attempt`. The same attempt again has one effect and the same answer, unless it was given up
    /// without the provider's word: then it is made anew. Run it to its end: a
    /// try that is dropped half way is settled by [`crate::due`] later.
    pub async fn approve(
        &self,
        payment: PaymentId,
        attempt: AttemptId,
        payment_key: String,
        metadata: &Metadata,
    ) -> Result<Approval, ApproveError> {
        let mut desk = Desk { cashier: self, payment, metadata, position: None, heard: Heard::Nothing };
        // What is paid needs no provider, and so no place before it.
        let step = match desk.take(judge::pay(attempt, payment_key.clone())).await? {
            Step::Over(over) => return desk.tell(over).await,
            step @ (Step::Read(_) | Step::Write(..) | Step::Confirm(..) | Step::LookUp(_)) => step,
        };
        let over = match self.guard.enter().await {
            Ok(pass) => {
                let over = desk.take_all(step).await;
                pass.ended(desk.heard);
                over?
            }
            Err(_kept_back) => desk.take_all(judge::keep_away(attempt, payment_key)).await?,
        };
        desk.tell(over).await
    }
}

/// Where the steps of one try are taken.
struct Desk<'a> {
    cashier: &'a Cashier,
    payment: PaymentId,
    metadata: &'a Metadata,
    /// Where the last thing written down is in the log.
    position: Option<Position>,
    heard: Heard,
}

impl Desk<'_> {
    async fn take_all(&mut self, mut step: Step) -> Result<Over, ApproveError> {
        loop {
            match step {
                Step::Over(over) => return Ok(over),
                next @ (Step::Read(_) | Step::Write(..) | Step::Confirm(..) | Step::LookUp(_)) => {
                    step = self.take(next).await?;
                }
            }
        }
    }

    async fn take(&mut self, step: Step) -> Result<Step, ApproveError> {
        let Cashier { journal, provider, .. } = self.cashier;
        Ok(match step {
            Step::Read(reading) => {
                let state = journal.load::<Payment>(self.payment.0).await.map_err(ExecuteError::Read)?.state;
                self.position = None;
                reading.read(&state, Utc::now())
            }
            Step::Write(command, writing) => {
                let charged = matches!(&command, PaymentCommand::Settle { outcome: Outcome::Approved { .. }, .. });
                match journal.execute::<Payment>(self.payment.0, command, self.metadata).await {
                    Ok(Executed { state, position, changed }) => {
                        self.position = Some(position);
                        writing.written(&state, changed, Utc::now())
                    }
                    Err(ExecuteError::Refused(refusal)) => {
                        if charged {
                            tracing::error!(payment = %self.payment, %refusal, "money of a try that is over: compare the provider's books");
                        }
                        writing.refused(refusal)
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Step::Confirm(confirm, asking) => {
                let answer = provider.confirm(confirm).await;
                self.hear(answer.as_ref().err());
                asking.answered(answer, Utc::now())
            }
            Step::LookUp(asking) => {
                let found = provider.lookup_order(self.payment).await;
                self.hear(found.as_ref().err());
                asking.found(found, Utc::now())
            }
            over @ Step::Over(_) => over,
        })
    }

    /// What a call of the provider says about it. Trouble once is trouble.
    fn hear(&mut self, error: Option<&ProviderError>) {
        if let Some(ProviderError::Rejected { code, .. }) = error {
            // The buyer's fault as a rule; but a shop that is not registered as it should be gets the same.
            tracing::warn!(payment = %self.payment, code, "the payment provider does not take what was asked");
        }
        self.heard = match (self.heard, error.is_some_and(ProviderError::is_trouble)) {
            (Heard::Trouble, _) | (_, true) => Heard::Trouble,
            (Heard::Nothing | Heard::Answers, false) => Heard::Answers,
        };
    }

    /// Whether the tickets are kept for so long.
    async fn is_kept(&self, wait: Duration) -> Result<bool, ApproveError> {
        let journal = &self.cashier.journal;
        let state = journal.load::<Payment>(self.payment.0).await.map_err(ExecuteError::Read)?.state;
        let open = state.status() == Some(PaymentStatus::PaymentRequested) && !state.is_cancel_requested();
        Ok(open && state.expires_at().is_some_and(|end| end > Utc::now() + wait))
    }

    async fn tell(&self, over: Over) -> Result<Approval, ApproveError> {
        let payment = self.payment;
        let position = self.position.unwrap_or_else(|| self.cashier.journal.position());
        match over {
            Over::Approved(payment) => Ok(Approval::Approved { payment, position }),
            Over::Declined { code, message } => Ok(Approval::Declined { code, message, position }),
            Over::Later(why) => {
                if let Some(error) = why {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(%payment, error, "the outcome of a try to pay is not known");
                }
                self.later(position).await
            }
            // Somebody else's try, and its outcome is not known yet.
            Over::Refused(PaymentError::AttemptInFlight(_)) => self.later(position).await,
            Over::Refused(refusal) => Err(ExecuteError::Refused(refusal).into()),
            Over::Misconfigured(error) => {
                tracing::error!(%payment, %error, "the payment provider refuses our calls");
                Err(ApproveError::Provider(error))
            }
        }
    }

    async fn later(&self, position: Position) -> Result<Approval, ApproveError> {
        let retry_after = self.cashier.guard.open_for().max(RETRY_AFTER_MIN);
        Ok(Approval::Later { retry_after, kept: self.is_kept(retry_after).await?, position })
    }
}
