//! Paying: the port to a payment provider, its one real adapter, and the simulator of what that adapter speaks to.
//!
//! What is certain and what is not is kept apart all the way: see [`ProviderError`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests"))]

mod cashier;
pub mod due;
mod guard;
mod http;
pub mod judge;
mod metered;
pub mod provider;
pub mod simulator;
pub mod toss;
pub mod webhooks;

pub use cashier::{Approval, ApproveError, Cashier, RETRY_AFTER_MIN};
pub use guard::{BreakerState, GuardOptions};
pub use metered::Metered;
pub use provider::{
    Cancel, Confirm, Doubt, Provider, ProviderCancel, ProviderError, ProviderPayment, ProviderResult, ProviderStatus,
};
pub use toss::{TossConfig, TossProvider};
