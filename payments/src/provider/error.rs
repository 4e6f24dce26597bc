//! What a call that brought no payment says about the money.

use std::error::Error;

use thiserror::Error;

/// Why a call of the provider brought no payment, a variant for each thing the caller can do about it.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// The provider said no, for certain: to this card, this account, this refund. Tell the buyer, who may try again
    /// in another way.
    #[error("declined: {code}: {message}")]
    Declined {
        /// The provider's code, stable.
        code: String,
        /// The provider's words, for a human.
        message: String,
    },
    /// Something was done under this name before, by an earlier call: look up what.
    #[error("already processed; a lookup says what became of it")]
    AlreadyProcessed,
    /// The provider knows no such payment.
    #[error("the provider knows no such payment")]
    NotFound,
    /// The provider refused to take the call: too many at once. Call again later, with the same idempotency key.
    #[error("the provider takes no more calls for now")]
    Busy,
    /// No connection came about, so nothing was sent. Call again later.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The provider does not accept our secret key: the operator's fault, not the buyer's.
    #[error("the provider does not accept our key: {code}: {message}")]
    Unauthorized {
        /// The provider's code, stable.
        code: String,
        /// The provider's words, for a human.
        message: String,
    },
    /// The provider does not accept the call as we made it: our fault, not the buyer's. The same call will not fare
    /// better.
    #[error("the provider rejects the call: {code}: {message}")]
    Rejected {
        /// The provider's code, stable; `LOCAL_…` when the adapter refused to send the call at all.
        code: String,
        /// The provider's words, for a human.
        message: String,
    },
    /// The effect may or may not have happened. Look up, or call again with the same idempotency key.
    #[error("unknown whether it happened")]
    Unknown(#[from] Doubt),
}

/// Why it is not known whether a call had its effect.
#[derive(Debug, Error)]
pub enum Doubt {
    /// No answer within the adapter's time limit.
    #[error("no answer in time")]
    Timeout,
    /// The connection was lost before the answer was complete.
    #[error("the connection was lost")]
    Lost(#[source] Box<dyn Error + Send + Sync>),
    /// An answer that promises nothing: a fault on the provider's side, or a code that we do not know.
    #[error("status {status}: {code}: {message}")]
    Fault {
        /// The HTTP status.
        status: u16,
        /// The provider's code; empty if it sent none.
        code: String,
        /// The provider's words; empty if it sent none.
        message: String,
    },
    /// A refusal of this one call with a code that we do not know, or that says so itself: it promises nothing about the
    /// money, but the provider is well.
    #[error("refused with status {status}: {code}: {message}")]
    Unclear {
        /// The HTTP status.
        status: u16,
        /// The provider's code.
        code: String,
        /// The provider's words; empty if it sent none.
        message: String,
    },
    /// An answer that cannot be read as a payment.
    #[error("unreadable answer")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
    /// A payment that is not the one asked for, such as another amount: somebody has to look at it.
    #[error("the answer contradicts the call: {0} differs")]
    Contradiction(&'static str),
}

impl ProviderError {
    /// This call certainly moved no money, and that settles the attempt. Otherwise only a lookup can.
    ///
    /// It speaks of one call: where an earlier call under the same idempotency key ended in doubt, only an answer
    /// about the payment itself ends that doubt.
    pub const fn is_certain(&self) -> bool {
        match self {
            Self::Declined { .. }
            | Self::NotFound
            | Self::Busy
            | Self::Unreachable(_)
            | Self::Unauthorized { .. }
            | Self::Rejected { .. } => true,
            Self::AlreadyProcessed | Self::Unknown(_) => false,
        }
    }

    /// The provider is in trouble, or all of us are with it: what a circuit breaker counts. What it says of one payment
    /// is no trouble, however bad for that one: whoever pays brings the payment key, and could make one up to close the
    /// till for everybody.
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Busy | Self::Unreachable(_) | Self::Unauthorized { .. } => true,
            Self::Unknown(doubt) => doubt.is_trouble(),
            Self::Declined { .. } | Self::AlreadyProcessed | Self::NotFound | Self::Rejected { .. } => false,
        }
    }

    /// The same call, with the same idempotency key, can fare better a little later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::Unreachable(_) => true,
            Self::Unknown(doubt) => doubt.is_retryable(),
            Self::Declined { .. }
            | Self::AlreadyProcessed
            | Self::NotFound
            | Self::Unauthorized { .. }
            | Self::Rejected { .. } => false,
        }
    }
}

impl Doubt {
    const fn is_trouble(&self) -> bool {
        match self {
            Self::Timeout | Self::Lost(_) | Self::Fault { .. } | Self::Unreadable(_) | Self::Contradiction(_) => true,
            Self::Unclear { .. } => false,
        }
    }

    const fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout | Self::Lost(_) | Self::Fault { .. } | Self::Unclear { .. } | Self::Unreadable(_) => true,
            // The provider would tell the same story again.
            Self::Contradiction(_) => false,
        }
    }
}
