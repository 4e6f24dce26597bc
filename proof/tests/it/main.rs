//! The proof, run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bank;
mod checker;
mod every_step;
mod gated;
mod mutations;
mod races;
mod random;
mod real;
mod theatre;

use std::{env, net::SocketAddr, time::Duration};

use payments::{TossConfig, TossProvider};

/// Longer than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The product's adapter, to a simulator at `address`.
fn adapter(address: SocketAddr) -> TossProvider {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = TossConfig::new(format!("http://{address}"), "test_sk_proof").timeout(PATIENCE);
    TossProvider::new(&config).unwrap()
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
