//! `boxoffice audit verify`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use audit::verify::{Checked, Evidence, Kept, LogCheck, Progress, Report, Seals, Subject, Verdict, verify};
use clap::{Args, ValueEnum};
use console::Style;
use indicatif::{ProgressBar, ProgressStyle};
use seals::{VerifierKey, last_checkpoint_file};
use tokio::time::interval;

use super::place::{Fault, Place, database, document};
use crate::{
    cli,
    status::{
        figures::{count, duration, several},
        screen::Screen,
        table::aligned,
    },
};

/// A breach: some invariant does not hold.
const EXIT_BREACHED: u8 = 1;
/// Something could not be looked at, so that nobody can say.
const EXIT_UNSEEN: u8 = 2;
/// How often a terminal is redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// What to check.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Leave this out, where it cannot be reached from here.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    without: Vec<Part>,
    /// A checkpoint that was kept elsewhere, as `GET /checkpoint` gave it: the log must still begin with all that it was
    /// signed over. May be given more than once.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The log's public key, NAME+ID+BASE64, as `boxoffice seals key` prints it, that these checkpoints must be signed by. May
    /// be given more than once. Without it, any key that the database names will do; whoever rewrote the database could have
    /// put one there, but not have signed with it what you kept. What was published is believed by either.
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

/// What can be left out.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// JetStream: the mirror, and the checkpoints that were published there.
    Mirror,
    /// The file of MyPage.
    Histories,
    /// What was signed of the log.
    Seals,
}

/// Verifies, and tells.
pub(super) async fn run(options: Options) -> ExitCode {
    let json = options.json;
    let report = match verified(options).await {
        Ok(report) => report,
        Err(Fault::Misused(message)) => return cli::misused(&message),
        Err(Fault::Audit(error)) => {
            cli::failed(&error.to_string());
            return ExitCode::from(EXIT_UNSEEN);
        }
    };
    let told = if json { document(&report) } else { tell(&report).map_err(Fault::from) };
    match told {
        Err(Fault::Audit(error)) if !error.is_closed_pipe() => {
            cli::failed(&error.to_string());
            return ExitCode::from(EXIT_UNSEEN);
        }
        Ok(()) | Err(_) => {}
    }
    if !report.sound {
        ExitCode::from(EXIT_BREACHED)
    } else if report.complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_UNSEEN)
    }
}

async fn verified(options: Options) -> Result<Report, Fault> {
    let source = options.place.source()?;
    let is_wanted = |part| !options.without.contains(&part);
    let subject = Subject {
        database: database(&source)?,
        nats_url: if is_wanted(Part::Mirror) { Some(source.nats_url()?) } else { None },
        mypage: if is_wanted(Part::Histories) { Some(source.need("MYPAGE_PATH")?.into()) } else { None },
    };
    let mut others: Vec<Box<dyn LogCheck>> = Vec::new();
    if is_wanted(Part::Seals) {
        let kept = options.checkpoint.iter().map(|file| kept(file)).collect::<Result<_, _>>()?;
        let trusted = options.key.iter().map(|text| key(text)).collect::<Result<_, _>>()?;
        let last_signed = source.seal_key_file().map(|file| last_checkpoint_file(&file));
        let evidence = Evidence { kept, trusted, last_signed, nats_url: subject.nats_url.clone() };
        others.push(Box::new(Box::pin(Seals::begin(&subject.database, evidence)).await?));
    } else if !options.checkpoint.is_empty() || !options.key.is_empty() {
        let option = if options.checkpoint.is_empty() { "--key" } else { "--checkpoint" };
        return Err(Fault::Misused(format!("{option} is about the seals, and --without leaves them out")));
    }
    let progress = Arc::new(Progress::default());
    let verifying = verify(&subject, others, Arc::clone(&progress));
    tokio::pin!(verifying);
    let mut shown = Shown::new();
    let mut ticks = interval(if shown.bar.is_some() { REDRAW_INTERVAL } else { LINE_INTERVAL });
    ticks.tick().await;
    loop {
        tokio::select! {
            report = &mut verifying => {
                shown.end();
                return Ok(report?);
            }
            _ = ticks.tick() => shown.show(&progress),
        }
    }
}

fn kept(file: &Path) -> Result<Kept, Fault> {
    Kept::read(file).map_err(|error| Fault::Misused(format!("--checkpoint {}: {error}", file.display())))
}

fn key(text: &str) -> Result<VerifierKey, Fault> {
    let wrong = "--key: that is no public key of a log; it looks like NAME+ID+BASE64";
    VerifierKey::parse(text).ok_or_else(|| Fault::Misused(wrong.to_owned()))
}

/// Progress on standard error: a bar on a terminal, a line now and then elsewhere.
struct Shown {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Shown {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{msg:8} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, began: Instant::now() }
    }

    fn show(&mut self, progress: &Progress) {
        let messages = progress.messages_in_all.load(Relaxed);
        let (what, done, all) = if messages > 0 {
            ("messages", progress.messages.load(Relaxed), messages)
        } else {
            ("events", progress.events.load(Relaxed), progress.events_in_all.load(Relaxed))
        };
        let Some(bar) = &self.bar else {
            let (begun, elapsed) = (u128::from(done.max(1)), self.began.elapsed().as_millis());
            let left = u64::try_from(u128::from(all.saturating_sub(done)) * elapsed / begun).unwrap_or(u64::MAX);
            let left = duration(Duration::from_millis(left).as_secs_f64());
            eprintln!("{} of {} {what}, about {left} left", count(done), count(all));
            return;
        };
        if bar.message() != what {
            bar.set_message(what);
            bar.reset();
        }
        bar.set_length(all);
        bar.set_position(done);
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The report for people.
fn tell(report: &Report) -> io::Result<()> {
    let screen = Screen::of_stdout();
    let paint = |style: Style, text: &str| style.force_styling(screen.coloured).apply_to(text).to_string();
    let (good, bad, dim) = (Style::new().green().bold(), Style::new().red().bold(), Style::new().yellow());
    let mut out = io::stdout().lock();
    let at = report.taken_at.format("%F %T UTC");
    writeln!(out, "the log up to position {}, as of {at}", count(report.position.0))?;
    writeln!(out)?;
    let row = |checked: &Checked| {
        let verdict = match checked.verdict {
            Verdict::Sound => paint(good.clone(), "ok"),
            Verdict::Breached => paint(bad.clone(), "BREACH"),
            Verdict::Skipped(_) => "-".to_owned(),
            Verdict::Unseen(_) => paint(dim.clone(), "unseen"),
        };
        let counted = several(checked.count, checked.check.unit());
        let counted = counted.replace("historys", "histories");
        vec![verdict, checked.check.name().to_owned(), counted, checked.check.title().to_owned()]
    };
    let rows: Vec<Vec<String>> = report.checks.iter().map(row).collect();
    for (line, checked) in aligned(&rows, &[2]).iter().zip(&report.checks) {
        writeln!(out, "{line}")?;
        match &checked.verdict {
            Verdict::Skipped(why) => writeln!(out, "         not checked: {why}")?,
            Verdict::Unseen(why) => {
                writeln!(out, "         {}", paint(dim.clone(), &format!("could not look: {why}")))?;
            }
            Verdict::Sound | Verdict::Breached => {}
        }
        for note in &checked.notes {
            writeln!(out, "         {note}")?;
        }
        for breach in &checked.first_breaches {
            writeln!(out, "         {}", paint(bad.clone(), &breach.to_string()))?;
        }
        let more = checked.breaches - checked.first_breaches.len() as u64;
        if more > 0 {
            writeln!(out, "         and {} more", count(more))?;
        }
    }
    writeln!(out)?;
    let per_second = |events: u64, seconds: f64| {
        let micros = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_micros().max(1);
        let rate = u128::from(events) * 1_000_000 / micros;
        format!("{}/s", count(u64::try_from(rate).unwrap_or(u64::MAX)))
    };
    let (events, log) = (report.events, report.log_seconds);
    write!(out, "{} in {}, {}", several(events, "event"), duration(log), per_second(events, log))?;
    let messages = report.checks.iter().find(|checked| checked.check == audit::verify::Check::Mirror);
    if let Some(messages) = messages.map(|checked| checked.count).filter(|messages| *messages > 0) {
        let mirror = report.mirror_seconds;
        write!(out, "; {} in {}, {}", several(messages, "message"), duration(mirror), per_second(messages, mirror))?;
    }
    writeln!(out)?;
    let breaches: u64 = report.checks.iter().map(|checked| checked.breaches).sum();
    let checks = report.checks.iter().filter(|checked| checked.breaches > 0).count() as u64;
    if breaches > 0 {
        let breaches = if breaches == 1 { "1 breach".to_owned() } else { format!("{} breaches", count(breaches)) };
        writeln!(out, "{}", paint(bad, &format!("{breaches}, of {}", several(checks, "check"))))?;
    } else if report.complete {
        writeln!(out, "{}", paint(good, "nothing is wrong"))?;
    } else {
        writeln!(out, "{}", paint(dim, "nothing is wrong in what was looked at, which is not all"))?;
    }
    out.flush()
}
