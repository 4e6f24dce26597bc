//! Under which name money is sent back.
//!
//! The provider answers a repeated idempotency key with what it answered first, and a refusal is remembered like
//! anything else (Toss Payments: for 15 days). So a refund that was refused for certain needs another key, or it would be
//! refused for ever, long after the reason is gone. One that ended in doubt keeps its key: that is what makes repeating
//! it harmless.
//!
//! Another key never pays back twice. What is asked for is always *all that is left* of one payment, and of one that was
//! given back nothing is left: the provider refuses with "already cancelled", which is how we know that it is done. So
//! even where a certain refusal was none, nobody gets more than was paid.

use aggregates::{AttemptId, PaymentId};

use crate::{Cancel, ProviderError};

/// Keys made one from the other, at most; further refusals stay with the last. At a try a minute that is weeks.
const KEYS_MAX: u32 = 50_000;

/// The name of the refund of `payment` after so many [certain refusals](is_refusal).
pub(super) fn key(payment: PaymentId, refusals: u32) -> AttemptId {
    (0..refusals.min(KEYS_MAX)).fold(AttemptId::refund(payment), |key, _| key.again())
}

/// The same refund after so many certain refusals.
pub fn after_refusals(cancel: Cancel, payment: PaymentId, refusals: u32) -> Cancel {
    Cancel { idempotency_key: key(payment, refusals), ..cancel }
}

/// Whether the provider refused for certain, and will remember it: the next try needs another name.
pub const fn is_refusal(error: &ProviderError) -> bool {
    match error {
        ProviderError::Declined { .. }
        | ProviderError::NotFound
        | ProviderError::Unauthorized { .. }
        | ProviderError::Rejected { .. } => true,
        // Not taken at all, so there is nothing to remember; done; or nobody knows.
        ProviderError::Busy
        | ProviderError::Unreachable(_)
        | ProviderError::AlreadyProcessed
        | ProviderError::Unknown(_) => false,
    }
}
