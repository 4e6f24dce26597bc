//! `boxoffice audit export`.

use std::process::ExitCode;

use audit::Format;
use clap::{Args, ValueEnum};
use journal::Position;

use super::place::{Fault, Place, ended, out};

/// What to print, and how.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// From this position on.
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Up to this position.
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
    /// As what; payload and metadata are the stored text in either.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Kind,
}

/// A format by its name.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// A JSON object a line.
    Jsonl,
    /// RFC 4180, with a header.
    Csv,
}

/// Prints it.
pub(super) async fn run(options: Options) -> ExitCode {
    ended(print(options).await)
}

async fn print(options: Options) -> Result<(), Fault> {
    let Options { place, from, to, format } = options;
    if from > to && to.is_some() {
        return Err(Fault::Misused("--from is behind --to".to_owned()));
    }
    let format = match format {
        Kind::Jsonl => Format::JsonLines,
        Kind::Csv => Format::Csv,
    };
    let mut snapshot = place.snapshot().await?;
    audit::export(&mut snapshot, from.map(Position), to.map(Position), format, out()).await?;
    Ok(())
}
