//! The stream, dropped and filled again.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use journal::{Journal, JournalOptions};
use nats::Refilled;
use serde_json::json;

use crate::{
    cli,
    rebuild::Bar,
    status::{figures::count, place::Source},
};

/// What our session is called in Postgres, and what nats-server knows us by.
const SESSION: &str = "boxoffice mirror";
/// Connections for reading the log, at most.
const CONNECTIONS_MAX: u32 = 4;

/// What to do with the copy of the log.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Drop the stream and fill it again from Postgres, while the system goes on.
    Rebuild(Options),
}

/// Where it is.
#[derive(Args)]
pub(crate) struct Options {
    /// Drop the stream even if it has events that Postgres has not, or has otherwise: nothing else has them. Keep them first,
    /// by `boxoffice restore-check --export FILE`.
    #[arg(long)]
    give_up: bool,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
    /// The data directory of an `up`; without it DATABASE_URL and NATS_URL (with the rights of the relay), else
    /// BOXOFFICE_DATA, else `.boxoffice`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Does it.
pub(crate) async fn run(command: Command) -> ExitCode {
    let Command::Rebuild(Options { give_up, json, data }) = command;
    let source = match Source::find(data, |name| std::env::var(name).ok()) {
        Ok(source) => source,
        Err(error) => return cli::misused(&error.to_string()),
    };
    let (database, url) = match source.database(SESSION).and_then(|it| Ok((it, source.need("NATS_URL")?.to_owned()))) {
        Ok(found) => found,
        Err(error) => return cli::misused(&error.to_string()),
    };
    if let Err(error) = nats::check_url(&url) {
        return cli::misused(&format!("NATS_URL in {}: {error}", source.name));
    }
    let options =
        JournalOptions { cache_aggregates_max: 1, cache_concert_events_max: 0, connections_max: CONNECTIONS_MAX };
    let journal = match Journal::open(database, options).await {
        Ok(journal) => journal,
        Err(error) => return cli::failed(&error.to_string()),
    };
    let done = match nats::connect(&url, SESSION).await {
        Ok(client) => {
            if !give_up && let Some(lost) = lost(&client, &journal).await {
                journal.close().await;
                return cli::failed(&lost);
            }
            let mut bar = Bar::new("mirror");
            let done = nats::refill(&journal, &client, |at, target| bar.at("filling", at.0, target.0)).await;
            bar.end();
            done.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    journal.close().await;
    match done {
        Ok(refilled) => {
            show(refilled, json);
            ExitCode::SUCCESS
        }
        Err(error) => cli::failed(&format!("{error}; a relay that runs goes on with it, or run this again")),
    }
}

/// Why the stream must not be dropped yet: it is all there is of what Postgres lost. A stream that cannot be compared is no
/// reason, as it may be what is to be put right.
async fn lost(client: &nats::Client, journal: &Journal) -> Option<String> {
    let parting = nats::parting(client, journal.pool()).await.ok()?;
    (parting.lost() > 0).then(|| {
        format!(
            "the stream has {} that Postgres has not, or has otherwise, after position {}; keep them by `boxoffice \
             restore-check --export FILE`, then give them up with --give-up",
            match parting.lost() {
                1 => "1 event".to_owned(),
                many => format!("{} events", count(many)),
            },
            count(parting.agreed.0),
        )
    })
}

fn show(Refilled { agreement, by_the_relay }: Refilled, as_json: bool) {
    if as_json {
        let document = json!({"first": agreement.first, "last": agreement.last, "byTheRelay": by_the_relay});
        println!("{document:#}");
        return;
    }
    let by = if by_the_relay { "the elected relay" } else { "this process, as no relay was elected" };
    println!(
        "the stream holds positions {} to {}, filled by {by}; its last message is the event at that position",
        count(agreement.first.0),
        count(agreement.last.0)
    );
    if !by_the_relay {
        println!("a process whose relay is halted stays so until it is started again");
    }
}
