//! `boxoffice audit …`: the log as evidence.

mod curve;
mod export;
mod history;
mod place;
mod receipt;
mod replay;
mod verify;
mod what_if;
mod why;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use place::aggregate;
pub(crate) use replay::at;

/// The log as evidence.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check the whole log against itself, and everything that is made from it against the log.
    ///
    /// Exits with 0 when all holds, with 1 on any breach, and with 2 when it could not look at all or at everything.
    Verify(verify::Options),
    /// Tell the events of one aggregate, or of a user's or a concert's bookings: who, when, and why.
    History(history::Options),
    /// Show what an aggregate was at a position or a time.
    Replay(replay::Options),
    /// Print the log, every column of it.
    Export(export::Options),
    /// Tell why a booking was refused, cancelled, or expired.
    Why(why::Options),
    /// Show a concert's tickets over time.
    Curve(curve::Options),
    /// Replay the requests of a past sale under other terms.
    WhatIf(what_if::Options),
    /// Print the receipt of a booking: its events, with the proof that they are in the log.
    Receipt(receipt::Options),
    /// Check a receipt, without any database.
    VerifyReceipt(receipt::VerifyOptions),
}

/// Runs one of them.
pub(crate) async fn run(command: Audit) -> ExitCode {
    match command {
        Audit::Verify(options) => verify::run(options).await,
        Audit::History(options) => history::run(options).await,
        Audit::Replay(options) => replay::run(options).await,
        Audit::Export(options) => export::run(options).await,
        Audit::Why(options) => why::run(options).await,
        Audit::Curve(options) => curve::run(options).await,
        Audit::WhatIf(options) => what_if::run(options).await,
        Audit::Receipt(options) => receipt::run(options).await,
        Audit::VerifyReceipt(options) => receipt::verify(&options),
    }
}
