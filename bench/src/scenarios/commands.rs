//! `rebuild-ticket-counts`, `rebuild-mypage`, `verify`: commands of the product about the log with a long past, beside the
//! product that serves it.

use std::{
    fs::{self, File},
    process::{self, Child, Stdio},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::{Instant, sleep};

use super::{Check, Round, Scenario, Stage};
use crate::{
    error::{Doing as _, Error},
    load::{Load, Outcome},
    processes::{cpu_seconds_of_ended, peak_resident_mb},
    product::Product,
};

/// How long a command may take.
const COMMAND_MAX: Duration = Duration::from_mins(15);
/// How often we look at it, and at its memory.
const PAUSE: Duration = Duration::from_millis(10);
/// Lines of what it said that are shown when it fails.
const LINES_SHOWN: usize = 20;

/// A command to measure.
#[derive(Clone, Copy)]
pub(super) struct What {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What must be done after it, for the next round to be like this one.
    after: Option<&'static [&'static str]>,
}

impl What {
    pub const REBUILD_TICKET_COUNTS: Self = Self {
        name: "rebuild-ticket-counts",
        arguments: &["rebuild", "ticket-counts"],
        after: Some(&["rebuild", "ticket-counts", "--drop-old"]),
    };
    pub const REBUILD_MYPAGE: Self = Self {
        name: "rebuild-mypage",
        arguments: &["rebuild", "mypage"],
        after: Some(&["rebuild", "mypage", "--drop-old"]),
    };
    pub const VERIFY: Self = Self { name: "verify", arguments: &["audit", "verify"], after: None };
}

/// What a command has used.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub cpu_seconds: f64,
    /// The most it had, in megabytes, as far as we looked in time.
    pub rss_mb: Option<f64>,
}

/// The scenario.
pub(super) struct Commands {
    what: What,
    /// Rounds that ended well.
    rounds: u64,
    events: u64,
}

impl Commands {
    /// Whether this binary has that command; else why not.
    pub fn find(what: What, product: &Product) -> Result<Result<Self, String>, Error> {
        let words: Vec<&str> = what.arguments.iter().copied().chain(["--help"]).collect();
        let mut help = product.command(&words)?;
        help.stdout(Stdio::null()).stderr(Stdio::null());
        let status = help.status().doing(format!("asking for help about {}", what.name))?;
        let found = Self { what, rounds: 0, events: 0 };
        Ok(if status.success() { Ok(found) } else { Err(format!("no `boxoffice {}`", what.arguments.join(" "))) })
    }
}

impl Scenario for Commands {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, _: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let events = stage.office.settled().await?.journal;
            let begin = Instant::now();
            let used = run(&stage.product, self.what.arguments).await?;
            let took = begin.elapsed();
            if let Some(after) = self.what.after {
                run(&stage.product, after).await?;
            }
            self.rounds += 1;
            self.events = events;
            let outcome = Outcome { in_time: events, done: events, ..Outcome::default() };
            Ok(Round { took: Some(took), used: Some(used), ..Round::of(outcome) })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            // A command that fails ends the run; that it says it did well is not all: what it made must serve.
            let readiness = stage.office.settled().await?;
            Ok(vec![
                Check::equal(format!("{}: events behind afterwards", self.what.name), 0, readiness.lag().most()),
                Check {
                    what: format!("{}: rounds that exited with 0", self.what.name),
                    expected: "some".to_owned(),
                    found: self.rounds.to_string(),
                    holds: self.rounds > 0,
                },
            ])
        }
        .boxed()
    }
}

/// A child that does not outlive the one who waits for it.
struct Waited(Child);

impl Drop for Waited {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs a command of the product to its end, which must be a good one.
pub(crate) async fn run(product: &Product, arguments: &[&str]) -> Result<Used, Error> {
    let what = arguments.join(" ");
    let said = product.data().join("command.log");
    let out = File::create(&said).doing(format!("creating {}", said.display()))?;
    let mut command = product.command(arguments)?;
    command.stdout(out.try_clone().doing("sharing a log")?).stderr(out);
    let cpu_before = cpu_seconds_of_ended(process::id()).unwrap_or(0.0);
    let begin = Instant::now();
    let mut child = Waited(command.spawn().doing(format!("starting boxoffice {what}"))?);
    let mut rss_mb = None;
    let status = loop {
        rss_mb = peak_resident_mb(child.0.id()).or(rss_mb);
        if let Some(status) = child.0.try_wait().doing(format!("waiting for boxoffice {what}"))? {
            break status;
        }
        if begin.elapsed() > COMMAND_MAX {
            return Err(Error::Waited { what: "a command to end", max: COMMAND_MAX, state: what });
        }
        sleep(PAUSE).await;
    };
    if !status.success() {
        let text = fs::read_to_string(&said).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let said = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
        return Err(Error::Command { what, how: status.to_string(), said });
    }
    let cpu_seconds = cpu_seconds_of_ended(process::id()).unwrap_or(0.0) - cpu_before;
    Ok(Used { cpu_seconds, rss_mb })
}
