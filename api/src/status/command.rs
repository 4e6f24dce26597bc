//! The command itself: options, one look, and how it ends.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{look::Looker, place::Place, screen::Screen, watch};
use crate::cli;

/// What to look at, and how to show it.
#[derive(Args)]
pub(crate) struct Options {
    /// The data directory of an `up`, whose file `env` says where its servers are.
    ///
    /// Without it, DATABASE_URL and NATS_READER_URL (or NATS_URL) say that; and where there is no DATABASE_URL either, the
    /// directory of BOXOFFICE_DATA, or `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Look again every second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Print a JSON document; with --watch, one a line.
    #[arg(long)]
    json: bool,
}

/// Shows where the system stands.
pub(crate) async fn run(options: Options) -> ExitCode {
    let place = match Place::find(options.data, |name| std::env::var(name).ok()) {
        Ok(place) => place,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let mut looker = Looker::new(place);
    let report = match looker.look().await {
        Ok(report) => report,
        Err(error) => return cli::failed(&error.to_string()),
    };
    let shown = if options.watch {
        watch::run(looker, report, options.json).await
    } else if options.json {
        serde_json::to_string_pretty(&report).map_err(Into::into).and_then(|document| print(&document))
    } else {
        print(&Screen::of_stdout().lines(&report).join("\n"))
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => cli::failed(&format!("standard output: {error}")),
    }
}

/// Writes a line, at once.
pub(super) fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
