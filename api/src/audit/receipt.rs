//! Receipts on the command line: made from the database, checked without any.

use std::{fs, io::Read as _, path::PathBuf, process::ExitCode};

use aggregates::BookingId;
use clap::Args;
use seals::{Log, Proved, Receipt, ReceiptFault, VerifierKey, verify_receipt};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::{cli, status::place::Source};

/// What our session is called in Postgres.
const SESSION: &str = "boxoffice audit";
/// Bytes of a receipt that are read, at most. A booking has some dozen events of a few KB.
const RECEIPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Whose receipt, and from where.
#[derive(Args)]
pub(crate) struct Options {
    /// The booking.
    booking: Uuid,
    /// The data directory of an `up`; without it, DATABASE_URL says where the database is, or BOXOFFICE_DATA, or `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What to check, and whom to trust.
#[derive(Args)]
pub(crate) struct VerifyOptions {
    /// The receipt; `-` reads it from standard input.
    file: PathBuf,
    /// The log's public key, NAME+ID+BASE64, as `boxoffice seals key` prints it. Get it from somebody you trust, not with the
    /// receipt. More than one may be given.
    #[arg(long, required = true, value_name = "KEY")]
    key: Vec<String>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

/// Prints a receipt.
pub(super) async fn run(options: Options) -> ExitCode {
    let source = match Source::find(options.data, |name| std::env::var(name).ok()) {
        Ok(source) => source,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let database = match source.database(SESSION) {
        Ok(database) => database,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let pool = match PgPoolOptions::new().max_connections(1).connect_with(database).await {
        Ok(pool) => pool,
        Err(error) => return cli::failed(&format!("Postgres (DATABASE_URL in {}): {error}", source.name)),
    };
    let receipt = match Log::open(pool).await {
        Ok(log) => Receipt::of(&log, BookingId(options.booking)).await,
        Err(error) => Err(error.into()),
    };
    match receipt.map_err(|error| error.to_string()).and_then(|receipt| pretty(&receipt)) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => cli::failed(&error),
    }
}

fn pretty(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

/// Checks one.
pub(super) fn verify(options: &VerifyOptions) -> ExitCode {
    let mut keys = Vec::new();
    for text in &options.key {
        match VerifierKey::parse(text) {
            Some(key) => keys.push(key),
            None => return cli::misused("--key: that is no public key of a log; it looks like NAME+ID+BASE64"),
        }
    }
    let text = match read(&options.file) {
        Ok(text) => text,
        Err(error) => return cli::misused(&format!("{}: {error}", options.file.display())),
    };
    let (proved, receipt) = match check(&text, &keys) {
        Ok(checked) => checked,
        Err(fault) => {
            if options.json {
                println!("{}", serde_json::json!({"valid": false, "reason": fault.to_string()}));
            }
            return cli::failed(&format!("this receipt proves nothing: {fault}"));
        }
    };
    show(&proved, &receipt, options.json);
    ExitCode::SUCCESS
}

fn check(text: &str, keys: &[VerifierKey]) -> Result<(Proved, Receipt), ReceiptFault> {
    let receipt: Receipt = serde_json::from_str(text)?;
    Ok((verify_receipt(&receipt, keys)?, receipt))
}

fn read(file: &PathBuf) -> std::io::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(RECEIPT_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        fs::File::open(file)?.take(RECEIPT_BYTES_MAX).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn show(proved: &Proved, receipt: &Receipt, json: bool) {
    let Proved { checkpoint, events } = proved;
    if json {
        let document = serde_json::json!({
            "valid": true,
            "bookingId": receipt.booking_id,
            "log": checkpoint.origin,
            "treeSize": checkpoint.size,
            "root": checkpoint.root,
            "events": events,
        });
        println!("{document}");
        return;
    }
    println!("valid: these {events} events are in the log {}", checkpoint.origin);
    println!();
    for event in &receipt.events {
        println!("{:>10}  {}  {:<7}  {}", event.position, event.recorded_at, event.aggregate_type, event.event_type);
    }
    println!();
    println!(
        "What this proves: whoever holds the key signed that the log had {} events by then, and each of",
        checkpoint.size
    );
    println!("these is one of them, at its place and to the byte. None can be changed or removed since without");
    println!("contradicting that signature. It does not prove that nothing happened to the booking afterwards.");
}
