//! `boxoffice audit …`: the log as evidence.

mod receipt;

use std::process::ExitCode;

use clap::Subcommand;

/// The log as evidence.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Print the receipt of a booking: its events, with the proof that they are in the log.
    Receipt(receipt::Options),
    /// Check a receipt, without any database.
    VerifyReceipt(receipt::VerifyOptions),
}

/// Runs one of them.
pub(crate) async fn run(command: Audit) -> ExitCode {
    match command {
        Audit::Receipt(options) => receipt::run(options).await,
        Audit::VerifyReceipt(options) => receipt::verify(&options),
    }
}
