//! The report for people.

use console::{Style, Term};

use super::{
    events::RATE_SECONDS,
    figures::{count, duration, percent, several},
    report::{Follower, Office, Process, Report},
    seen::share,
    table::{aligned, lines_of},
    verdict::work_name,
};
use crate::vitals::{Breaker, Holds, RelayActivity};

/// How wide the names of the lines are.
const NAME_WIDTH: usize = 11;
/// The kind of work that people ask for.
const REFUND: &str = "refund";
/// What is not known.
const UNKNOWN: &str = "?";

/// How the report is shown.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    /// With colours.
    pub coloured: bool,
    /// How wide it is, where what is long should be broken into lines.
    pub columns: Option<usize>,
}

impl Screen {
    /// As wide as the terminal that standard output is, and with colours where it shows them to somebody who wants them
    /// (<https://no-color.org>); plain where it is none.
    pub fn of_stdout() -> Self {
        let terminal = Term::stdout();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let columns = terminal.size_checked().filter(|_| terminal.is_term()).map(|(_, columns)| usize::from(columns));
        Self { coloured: terminal.is_term() && !unwanted && !dumb, columns }
    }

    /// The report, the verdict first.
    pub(super) fn lines(self, report: &Report) -> Vec<String> {
        let mut lines = self.verdict(report);
        lines.push(String::new());
        lines.extend(self.log(report));
        lines.push(self.named("holds", &holds(report)));
        lines.extend(self.payments(report));
        lines.push(self.named("cache", &cache(report)));
        let parked: usize = report.parked.iter().map(|parked| parked.events.count).sum();
        let text = if parked == 0 { "nothing".to_owned() } else { self.bad(&several(parked as u64, "event")) };
        lines.push(self.named("parked", &text));
        lines.push(String::new());
        lines.extend(self.followers(report));
        if !report.rebuilds.is_empty() {
            lines.push(String::new());
            lines.extend(self.rebuilds(report));
        }
        if !report.concert_cancellations.is_empty() {
            lines.push(String::new());
            lines.extend(self.cancellations(report));
        }
        if !report.processes.is_empty() {
            lines.push(String::new());
            lines.extend(self.processes(report));
        }
        lines
    }

    /// What is shown where nothing can be seen.
    pub fn unseen(self, error: &str) -> Vec<String> {
        let mut lines = vec![self.bad("wrong")];
        lines.extend(self.broken("", error).iter().map(|line| self.bad(line)));
        lines.extend(self.broken("-> ", "it is looked again every second"));
        lines
    }

    /// A text in lines that fit, beside the names.
    fn broken(self, mark: &str, text: &str) -> Vec<String> {
        let first = format!("{:NAME_WIDTH$}{mark}", "");
        let rest = " ".repeat(first.len());
        let room = self.columns.map_or(usize::MAX, |columns| columns.saturating_sub(first.len()));
        let parts = lines_of(text, room);
        let begins = std::iter::once(&first).chain(std::iter::repeat(&rest));
        parts.iter().zip(begins).map(|(part, begin)| format!("{begin}{part}")).collect()
    }

    fn paint(self, style: Style, text: &str) -> String {
        style.force_styling(self.coloured).apply_to(text).to_string()
    }

    fn bad(self, text: &str) -> String {
        self.paint(Style::new().red().bold(), text)
    }

    fn named(self, name: &str, text: &str) -> String {
        format!("{}{text}", self.paint(Style::new().bold(), &format!("{name:NAME_WIDTH$}")))
    }

    fn heading(self, cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| self.paint(Style::new().bold(), cell)).collect()
    }

    fn verdict(self, report: &Report) -> Vec<String> {
        let at = report.at.format("%F %T UTC");
        if report.troubles.is_empty() {
            let ok = self.paint(Style::new().green().bold(), &format!("{:NAME_WIDTH$}", "ok"));
            return vec![format!("{ok}nothing is wrong, {at}")];
        }
        let wrong = self.bad(&format!("{:NAME_WIDTH$}", "wrong"));
        let mut lines = vec![format!("{wrong}{} at {at}", several(report.troubles.len() as u64, "trouble"))];
        for trouble in &report.troubles {
            lines.extend(self.broken("", &trouble.what).iter().map(|line| self.bad(line)));
            lines.extend(self.broken("-> ", &trouble.remedy));
        }
        lines
    }

    fn log(self, report: &Report) -> Vec<String> {
        let log = &report.journal;
        let last = log.recorded_at.map_or_else(
            || "nothing has happened yet".to_owned(),
            |at| format!("the last {} ago", duration((report.at - at).as_seconds_f64())),
        );
        let rate = log.events_per_second;
        let events = several(log.position.0, "event");
        vec![self.named("journal", &format!("{events}, {last}; {rate:.1}/s over {RATE_SECONDS} s"))]
    }

    fn payments(self, report: &Report) -> Vec<String> {
        let payments = &report.payments;
        let breaker = match (payments.configured, payments.breaker) {
            (Some(false), _) => "no provider is configured".to_owned(),
            (_, Some(Breaker::Closed)) => "breaker closed".to_owned(),
            (_, Some(Breaker::HalfOpen)) => self.bad("breaker half-open"),
            (_, Some(Breaker::Open)) => self.bad("breaker open"),
            (_, None) => format!("breaker {UNKNOWN}"),
        };
        // Refunds are always told of; the rest where there is any.
        let told = payments.work.iter().filter(|(kind, work)| *kind == REFUND || work.waiting + work.for_a_person > 0);
        let work = told.map(|(kind, work)| {
            let oldest = work.oldest_since.map(|since| duration((report.at - since).as_seconds_f64()));
            let oldest = oldest.map_or_else(String::new, |age| format!(", the oldest for {age}"));
            let vain = if work.failed == 0 { String::new() } else { format!(", {} tried in vain", count(work.failed)) };
            let more = format!("{oldest}{vain}");
            let more = more.strip_prefix(", ").map_or_else(String::new, |more| format!(" ({more})"));
            format!("{}{more}", several(work.waiting, work_name(kind)))
        });
        let parts: Vec<String> = std::iter::once(breaker).chain(work).collect();
        vec![self.named("payments", &parts.join(", "))]
    }

    fn followers(self, report: &Report) -> Vec<String> {
        let mut rows = vec![self.heading(&["follower", "behind", "age", "position", "run by"])];
        rows.extend(report.followers.iter().map(|follower| self.follower(report, follower)));
        aligned(&rows, &[1, 2, 3])
    }

    fn follower(self, report: &Report, follower: &Follower) -> Vec<String> {
        let lag =
            |text: String| if follower.lag_events == Some(0) { text } else { self.paint(Style::new().yellow(), &text) };
        let figure = |figure: Option<u64>| figure.map_or_else(|| UNKNOWN.to_owned(), count);
        let age = match (follower.lag_events, follower.lag_seconds) {
            (Some(0), _) => "-".to_owned(),
            (_, Some(seconds)) => duration(seconds),
            (_, None) => UNKNOWN.to_owned(),
        };
        vec![
            follower.name.clone(),
            lag(figure(follower.lag_events)),
            lag(age),
            figure(follower.position.map(|position| position.0)),
            self.run_by(report, follower),
        ]
    }

    fn run_by(self, report: &Report, follower: &Follower) -> String {
        if let Some(process) = follower.process {
            // By what it wrote itself, so not quite as of now.
            let written = report.processes.iter().find(|known| known.id == process);
            let ago = written.map_or_else(|| UNKNOWN.to_owned(), |known| duration(known.seen_seconds_ago));
            return format!("{}, {ago} ago", report.label(process));
        }
        let lease = match follower.name.as_str() {
            nats::LEASE => nats::LEASE,
            saga::CHECKPOINT => saga::LEASE,
            seals::CHECKPOINT => seals::LEASE,
            payments::due::CHECKPOINT => payments::due::LEASE,
            _ => return String::new(),
        };
        let office = report.offices.iter().find(|office| office.name == lease);
        let holder = match office {
            None => UNKNOWN.to_owned(),
            Some(Office { held: false, .. }) => self.bad("nobody"),
            Some(Office { process: None, .. }) => "a session of another name".to_owned(),
            Some(Office { process: Some(process), .. }) => report.label(*process),
        };
        match report.relay.state.filter(|_| lease == nats::LEASE) {
            None => holder,
            Some(RelayActivity::Standby) => format!("{holder}, standby"),
            Some(RelayActivity::CatchingUp) => format!("{holder}, catching up"),
            Some(RelayActivity::Live) => format!("{holder}, live"),
            Some(RelayActivity::Disconnected) => format!("{holder}, {}", self.bad("disconnected")),
            Some(RelayActivity::Halted) => self.bad("halted"),
        }
    }

    fn rebuilds(self, report: &Report) -> Vec<String> {
        let mut rows = vec![self.heading(&["being rebuilt", "generation", "phase", "", "position", "for", ""])];
        rows.extend(report.rebuilds.iter().map(|rebuild| {
            vec![
                rebuild.projection.clone(),
                rebuild.generation.to_string(),
                rebuild.phase.clone(),
                percent(share(rebuild.position.0, rebuild.target.0.max(rebuild.position.0)).unwrap_or_default()),
                count(rebuild.position.0),
                duration(rebuild.seconds),
                rebuild.place.clone().unwrap_or_default(),
            ]
        }));
        aligned(&rows, &[1, 3, 4, 5])
    }

    fn cancellations(self, report: &Report) -> Vec<String> {
        let mut rows = vec![self.heading(&["concert called off", "cancelled", "", "free again", "", "took", ""])];
        rows.extend(report.concert_cancellations.iter().map(|cancellation| {
            let done = share(cancellation.canceled, cancellation.bookings).unwrap_or(1.0);
            let back = share(cancellation.released, cancellation.bookings).unwrap_or(1.0);
            let ended = cancellation.finished_at.unwrap_or(report.at);
            let lasted = duration((ended - cancellation.started_at).as_seconds_f64());
            vec![
                cancellation.name.clone().unwrap_or_else(|| cancellation.concert_id.to_string()),
                format!("{}/{}", count(cancellation.canceled), count(cancellation.bookings)),
                percent(done),
                format!("{}/{}", count(cancellation.released), count(cancellation.bookings)),
                percent(back),
                lasted,
                if cancellation.finished_at.is_some() { "through" } else { "under way" }.to_owned(),
            ]
        }));
        aligned(&rows, &[1, 2, 3, 4, 5])
    }

    fn processes(self, report: &Report) -> Vec<String> {
        let mut rows = vec![self.heading(&["process", "listens on", "version", "up", "cache hits", "last seen"])];
        rows.extend(report.processes.iter().map(|process| self.process(report, process)));
        aligned(&rows, &[3, 4, 5])
    }

    fn process(self, report: &Report, process: &Process) -> Vec<String> {
        let seen = format!("{} ago", duration(process.seen_seconds_ago));
        let seen = if process.live { seen } else { self.bad(&seen) };
        let Some(vitals) = &process.vitals else {
            return vec![process.label(), UNKNOWN.into(), UNKNOWN.into(), UNKNOWN.into(), UNKNOWN.into(), seen];
        };
        let hits = share(vitals.cache.hits, vitals.cache.hits + vitals.cache.misses);
        vec![
            process.label(),
            vitals.listen.to_string(),
            vitals.version.clone(),
            duration((report.at - vitals.started_at).as_seconds_f64()),
            hits.map_or_else(|| "-".to_owned(), percent),
            seen,
        ]
    }
}

fn holds(report: &Report) -> String {
    match report.holds {
        None => format!("{UNKNOWN} (the process that runs the saga has not told)"),
        Some(Holds { waiting, overdue_seconds, due, due_in_a_minute }) => {
            let soon = format!("{} due now, {} within a minute", count(due), count(due_in_a_minute));
            let overdue = if overdue_seconds > 0.0 {
                format!("the first overdue by {}", duration(overdue_seconds))
            } else {
                "none overdue".to_owned()
            };
            format!("{} to come, {overdue}; {soon}", several(waiting, "deadline"))
        }
    }
}

fn cache(report: &Report) -> String {
    let cache = &report.cache;
    let hits = cache.hit_rate.map_or_else(|| "-".to_owned(), percent);
    format!("{hits} of {} found, {} held", several(cache.look_ups, "look-up"), several(cache.aggregates, "aggregate"))
}

#[cfg(test)]
mod tests;
