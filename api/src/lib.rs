//! The product around the core: HTTP, accounts, the composition of its tasks, and the private servers of `up`.

pub mod accounts;
mod audit;
pub mod cli;
mod http;
mod secret;
mod settings;
mod status;
mod system;
mod telemetry;
mod up;
mod vitals;
mod wake;

pub use settings::{Settings, SettingsError};
pub use system::{System, SystemError};
