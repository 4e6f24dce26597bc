//! Paying a booking: intent before effect, and the outcome once it is certain.

use std::sync::Arc;

use aggregates::{
    AttemptId, Payment, PaymentCommand, PaymentError, PaymentId, PaymentStatus,
    payment::{Outcome, Refused},
};
use chrono::Utc;
use journal::{ExecuteError, Executed, Journal, Metadata, Position};
use thiserror::Error;

use crate::{
    Confirm, Provider, ProviderError, ProviderPayment,
    guard::{Guard, GuardOptions, PutOff},
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

    /// Whether the circuit breaker keeps callers from the provider.
    pub fn is_breaker_open(&self) -> bool {
        self.guard.is_open()
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
        // What is paid needs no provider.
        let state = self.journal.load::<Payment>(payment.0).await.map_err(ExecuteError::Read)?.state;
        if state.status() == Some(PaymentStatus::PaymentApproved) {
            return Ok(Approval::Approved { payment: Box::new(state), position: self.journal.position() });
        }
        let mut attempt = attempt;
        while state.refused(attempt).is_some_and(|refused| refused.code.is_none()) {
            attempt = attempt.again();
        }
        let work = async {
            match self.unguarded(payment, attempt, payment_key, metadata).await {
                Ok(Approval::Later { position }) => Err(Trouble::Later(position)),
                Ok(known) => Ok(known),
                Err(error) => Err(Trouble::Ours(error)),
            }
        };
        let counts = |trouble: &Trouble| match trouble {
            Trouble::Later(_) | Trouble::Ours(ApproveError::Provider(_)) => true,
            Trouble::Ours(ApproveError::Execute(_)) => false,
        };
        match self.guard.run(counts, work).await {
            Ok(known) => Ok(known),
            Err(PutOff::Full | PutOff::Open) => Ok(Approval::Later { position: self.journal.position() }),
            Err(PutOff::Failed(Trouble::Later(position))) => Ok(Approval::Later { position }),
            Err(PutOff::Failed(Trouble::Ours(error))) => Err(error),
        }
    }

    async fn unguarded(
        &self,
        payment: PaymentId,
        attempt: AttemptId,
        payment_key: String,
        metadata: &Metadata,
    ) -> Result<Approval, ApproveError> {
        match self.attempt(payment, attempt, payment_key.clone(), metadata).await {
            Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::AttemptInFlight(other)))) => {
                // Somebody else's try, or one whose answer was lost: its outcome decides whether this one is needed.
                let open = self.journal.load::<Payment>(payment.0).await.map_err(ExecuteError::Read)?.state;
                if let Some(in_flight) = open.in_flight().filter(|in_flight| in_flight.attempt_id == other) {
                    let key = in_flight.payment_key.clone();
                    match self.confirm(&open, payment, other, key, Earlier::MayHaveArrived, metadata).await? {
                        Approval::Declined { .. } => {}
                        settled @ (Approval::Approved { .. } | Approval::Later { .. }) => return Ok(settled),
                    }
                }
                self.attempt(payment, attempt, payment_key, metadata).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(
        &self,
        payment: PaymentId,
        attempt_id: AttemptId,
        payment_key: String,
        metadata: &Metadata,
    ) -> Result<Approval, ApproveError> {
        let command = PaymentCommand::Attempt { attempt_id, payment_key: payment_key.clone(), now: Utc::now() };
        let done = self.journal.execute::<Payment>(payment.0, command, metadata).await;
        let Executed { state, position, changed } = match done {
            Ok(executed) => executed,
            Err(ExecuteError::Refused(PaymentError::AlreadyApproved)) => {
                let payment = Box::new(self.journal.load(payment.0).await.map_err(ExecuteError::Read)?.state);
                return Ok(Approval::Approved { payment, position: self.journal.position() });
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(refused) = state.refused(attempt_id) {
            return Ok(came_to_nothing(refused, position));
        }
        let earlier = if changed { Earlier::None } else { Earlier::MayHaveArrived };
        // The key of the try is the one that was written down first.
        let key = state.in_flight().map_or(payment_key, |in_flight| in_flight.payment_key.clone());
        self.confirm(&state, payment, attempt_id, key, earlier, metadata).await
    }

    async fn confirm(
        &self,
        state: &Payment,
        payment: PaymentId,
        attempt_id: AttemptId,
        payment_key: String,
        earlier: Earlier,
        metadata: &Metadata,
    ) -> Result<Approval, ApproveError> {
        let request = state.request().ok_or(ExecuteError::Refused(PaymentError::NoSuchPayment))?;
        let confirm = Confirm { payment_key, order_id: payment, amount: request.amount, idempotency_key: attempt_id };
        let (outcome, misconfigured) = match self.provider.confirm(confirm).await {
            Ok(paid) => (approved(paid), None),
            Err(ProviderError::Declined { code, message }) => (Outcome::Declined { code, message }, None),
            Err(ProviderError::AlreadyProcessed) => match self.provider.lookup_order(payment).await {
                Ok(Some(paid)) if paid.status.was_charged() && paid.amount == request.amount => (approved(paid), None),
                Ok(Some(_)) | Err(_) => return Ok(Approval::Later { position: self.journal.position() }),
                // The key was used, and not for this: whoever pays must come with another one.
                Ok(None) => {
                    let (code, message) = ("ALREADY_PROCESSED_PAYMENT", "this payment key was used for something else");
                    (Outcome::Declined { code: code.to_owned(), message: message.to_owned() }, None)
                }
            },
            // Certain of this call, but an earlier one under the same key may have had its effect. And where it was not
            // taken at all, the same try may be taken the next time.
            Err(error) if error.is_certain() && !error.is_retryable() && earlier == Earlier::None => {
                (Outcome::NotDone { reason: error.to_string() }, Some(error))
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(%payment, attempt = %attempt_id, error, "the outcome of a try to pay is not known");
                return Ok(Approval::Later { position: self.journal.position() });
            }
        };
        let charged = matches!(outcome, Outcome::Approved { .. });
        let settle = PaymentCommand::Settle { attempt_id, outcome };
        let settled: Executed<Payment> = match self.journal.execute(payment.0, settle, metadata).await {
            Ok(settled) => settled,
            // Somebody settled it otherwise meanwhile; what stands in the log is the answer.
            Err(ExecuteError::Refused(PaymentError::NotInFlight(_))) => {
                if charged {
                    tracing::error!(%payment, attempt = %attempt_id, "money of a try that is over: compare the provider's books");
                }
                let state = self.journal.load(payment.0).await.map_err(ExecuteError::Read)?.state;
                Executed { state, position: self.journal.position(), changed: false }
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(error) = misconfigured {
            tracing::error!(%payment, %error, "the payment provider refuses our calls");
            return Err(ApproveError::Provider(error));
        }
        if settled.state.approved().is_some() {
            return Ok(Approval::Approved { payment: Box::new(settled.state), position: settled.position });
        }
        Ok(match settled.state.refused(attempt_id) {
            Some(refused) => came_to_nothing(refused, settled.position),
            None => Approval::Later { position: settled.position },
        })
    }
}

/// Why a try is not settled: the provider is in trouble, or it is we who cannot.
enum Trouble {
    Later(Position),
    Ours(ApproveError),
}

/// Whether a call under the same idempotency key may have reached the provider before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Earlier {
    None,
    MayHaveArrived,
}

/// The money has moved, and under which of the provider's names.
pub(crate) fn approved(paid: ProviderPayment) -> Outcome {
    Outcome::Approved { approved_at: paid.approved_at.unwrap_or_else(Utc::now), payment_key: paid.payment_key }
}

fn came_to_nothing(refused: &Refused, position: Position) -> Approval {
    match &refused.code {
        Some(code) => Approval::Declined { code: code.clone(), message: refused.message.clone(), position },
        None => Approval::Later { position },
    }
}
