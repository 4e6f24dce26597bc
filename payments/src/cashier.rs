//! Paying a booking: intent before effect, and the outcome once it is certain. What to do is the judge's to say; it is
//! done here.

use std::sync::Arc;

use aggregates::{AttemptId, Payment, PaymentCommand, PaymentError, PaymentId, payment::Outcome};
use chrono::Utc;
use journal::{ExecuteError, Executed, Journal, Metadata, Position};
use thiserror::Error;

use crate::{
    Provider, ProviderError,
    guard::{BreakerState, Guard, GuardOptions, PutOff},
    judge::{self, Over, Step},
};

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
        let mut desk = Desk { cashier: self, payment, metadata, position: None };
        // What is paid needs no provider, and so no place before it.
        let step = match desk.take(judge::pay(attempt, payment_key)).await? {
            Step::Over(over) => return desk.tell(over),
            step @ (Step::Read(_) | Step::Write(..) | Step::Confirm(..) | Step::LookUp(_)) => step,
        };
        let work = async {
            match desk.take_all(step).await {
                Ok(over @ (Over::Later(_) | Over::Misconfigured(_))) => Err(Trouble::Theirs(over)),
                Ok(over @ (Over::Approved(_) | Over::Declined { .. } | Over::Refused(_))) => Ok(over),
                Err(error) => Err(Trouble::Ours(error)),
            }
        };
        let over = match self.guard.run(|trouble| matches!(trouble, Trouble::Theirs(_)), work).await {
            Ok(over) | Err(PutOff::Failed(Trouble::Theirs(over))) => over,
            Err(PutOff::Full | PutOff::Open) => desk.take_all(judge::put_off(None, Utc::now())).await?,
            Err(PutOff::Failed(Trouble::Ours(error))) => return Err(error),
        };
        desk.tell(over)
    }
}

/// Where the steps of one try are taken.
struct Desk<'a> {
    cashier: &'a Cashier,
    payment: PaymentId,
    metadata: &'a Metadata,
    /// Where the last thing written down is in the log.
    position: Option<Position>,
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
            Step::Confirm(confirm, asking) => asking.answered(provider.confirm(confirm).await, Utc::now()),
            Step::LookUp(asking) => asking.found(provider.lookup_order(self.payment).await, Utc::now()),
            over @ Step::Over(_) => over,
        })
    }

    fn tell(&self, over: Over) -> Result<Approval, ApproveError> {
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
                Ok(Approval::Later { position })
            }
            Over::Refused(refusal) => Err(ExecuteError::Refused(refusal).into()),
            Over::Misconfigured(error) => {
                tracing::error!(%payment, %error, "the payment provider refuses our calls");
                Err(ApproveError::Provider(error))
            }
        }
    }
}

/// Why a try is not settled: the provider is in trouble, or it is we who cannot.
enum Trouble {
    Theirs(Over),
    Ours(ApproveError),
}
