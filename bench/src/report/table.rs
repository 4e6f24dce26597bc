//! The report for people.

use super::{Cpu, Entry, Figures, Memory, Millis, Report, RoundFigures, Target};
use crate::scenarios::{Lag, Name, Size};

const HEAD: [&str; 10] = [
    "scenario",
    "counts",
    "per second",
    "least … most",
    "events/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "server µs each",
    "rss MB",
];
const CPU_HEAD: [&str; 8] =
    ["CPU seconds", "generator", "boxoffice", "postgres", "nats", "own", "others", "generator's part"];
const TARGET_HEAD: [&str; 4] = ["target", "needed", "found (least … most round)", ""];

/// Prints it to standard output.
pub(crate) fn print(report: &Report) {
    let Report { machine, settings, scenarios, targets, memory, generator_mb, checks, complaints } = report;
    println!("{}", machine.describe());
    println!(
        "{} connections, {} rounds of {} s after {} warm-ups; medians; load generator, servers and product on the same cores",
        settings.connections, settings.rounds, settings.round_seconds, settings.warm_ups
    );
    let Size { events, concerts, tickets } = settings.size;
    println!(
        "growth, scan, rebuild and verify: a log of {events} events; many: {concerts} concerts; sell-out: {tickets} tickets"
    );
    println!();
    let rows = scenarios.iter().map(|(name, entry)| match entry {
        Entry::Measured(figures) => row(*name, figures),
        Entry::NotThere { .. } => absent(*name),
    });
    lines(&std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect::<Vec<_>>());
    println!("latencies: open loop at half of the rate, from when each request was due; journal-limit: of one insert;");
    println!(
        "           sell-out: of everybody at once. server µs: of product, Postgres, nats-server, peer or command"
    );
    println!();
    let measured = || scenarios.iter().filter_map(|(name, entry)| Some((*name, entry.figures()?)));
    let rows = measured().map(|(name, figures)| cpu_row(name, figures));
    lines(&std::iter::once(CPU_HEAD.map(str::to_owned)).chain(rows).collect::<Vec<_>>());
    println!("all rounds, each until everything that follows from it was done; own: a peer's server and provider, a");
    println!(
        "limit's server, or the command; others: whatever else ran on this machine; generator's part: of all of it, at the"
    );
    println!("maximum and at half");
    println!();
    lines(&std::iter::once(TARGET_HEAD.map(str::to_owned)).chain(targets.iter().map(target_row)).collect::<Vec<_>>());
    println!();
    for (name, entry) in scenarios {
        match entry {
            Entry::Measured(figures) => notes(*name, figures),
            Entry::NotThere { not_there, .. } => println!("{}: not there: {not_there}", name.as_str()),
        }
    }
    for (which, memory) in memory {
        of_memory(which, memory);
    }
    println!("memory of the load generator: {} MB", whole(*generator_mb));
    println!();
    for check in checks {
        let verdict = if check.holds { "ok   " } else { "WRONG" };
        println!("{verdict} {}: {} (expected {})", check.what, check.found, check.expected);
    }
    for complaint in complaints {
        println!("log   {complaint}");
    }
}

fn row(name: Name, figures: &Figures) -> [String; 10] {
    let Millis { p50, p99, p999 } = figures.latency;
    [
        name.as_str().to_owned(),
        figures.counts.to_owned(),
        whole(Some(figures.per_second)),
        format!("{} … {}", whole(Some(figures.per_second_least)), whole(Some(figures.per_second_most))),
        whole(figures.events_per_second),
        fine(p50),
        fine(p99),
        fine(p999),
        fine(Some(figures.server_cpu_micros_each)),
        whole(figures.rss_mb),
    ]
}

fn absent(name: Name) -> [String; 10] {
    let dash = || "-".to_owned();
    let none = "not there".to_owned();
    [name.as_str().to_owned(), dash(), none, dash(), dash(), dash(), dash(), dash(), dash(), dash()]
}

fn cpu_row(name: Name, figures: &Figures) -> [String; 8] {
    let Cpu { generator, product, postgres, nats, own, others } = figures.cpu;
    let seconds = [generator, product, postgres, nats, own, others].map(|seconds| fine(Some(seconds)));
    let [generator, product, postgres, nats, own, others] = seconds;
    let percent = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    let share = format!("{}, {}", percent(figures.generator_share), percent(figures.generator_share_open));
    [name.as_str().to_owned(), generator, product, postgres, nats, own, others, share]
}

fn target_row(target: &Target) -> [String; 4] {
    let verdict = match target.met {
        Some(true) => "met",
        Some(false) => "NOT MET",
        None => "not measured",
    };
    let (needed, found) = (target.say(target.needed), target.found.map(|found| target.say(found)));
    let bound = if target.at_most { "at most" } else { "at least" };
    let mut found = found.unwrap_or_else(|| "-".to_owned());
    if let Some((least, most)) = target.spread {
        found = format!("{found} ({} … {})", target.say(least), target.say(most));
    }
    [target.what.clone(), format!("{bound} {needed}"), found, verdict.to_owned()]
}

fn notes(name: Name, figures: &Figures) {
    let Millis { p50, p99, p999 } = figures.at_maximum;
    let name = name.as_str();
    if let Some(rate) = figures.latency_at_per_second {
        let at = whole(Some(rate));
        println!(
            "{name}: latencies above at {at} per second; at the maximum {} / {} / {} ms",
            fine(p50),
            fine(p99),
            fine(p999)
        );
    }
    if let Some(seconds) = figures.seconds {
        println!("{name}: {seconds:.2} s a round");
    }
    let memory = |which: fn(&RoundFigures) -> Option<f64>| {
        figures.rounds.iter().map(|round| whole(which(round))).collect::<Vec<_>>().join(" ")
    };
    if matches!(name, "book" | "growth") {
        println!(
            "{name}: memory in MB, round by round: at the start {}; in the middle {}; at the end {}",
            memory(|round| round.rss_start_mb),
            memory(|round| round.rss_middle_mb),
            memory(|round| round.rss_end_mb)
        );
    }
    if let Some(drained) = figures.per_second_drained {
        println!("{name}: {} per second with the drained backlog counted", whole(Some(drained)));
    }
    if let Some(worst) = figures.rounds.iter().max_by_key(|round| round.lag.most()).filter(|round| round.lag.most() > 0)
    {
        let Lag { mirror, ticket_counts, mypage, ready } = worst.lag;
        let serving = if ready { "" } else { ", and /readyz said 503" };
        println!(
            "{name}: events behind at the end of a round, at worst: mirror {mirror}, ticket counts {ticket_counts}, \
             histories {mypage}{serving}; caught up within {:.2} s",
            worst.settle_seconds
        );
    }
    for (failure, times) in &figures.failures {
        println!("{name}: FAILED {times} times: {failure}");
    }
}

fn of_memory(which: &str, memory: &Memory) {
    let Memory { product_at_start_mb, product_mb, postgres_mb, nats_mb, events } = memory;
    println!(
        "memory of the {which} product with {events} events: boxoffice {} MB ({} at the start), postgres {} MB, nats {} MB",
        whole(*product_mb),
        whole(*product_at_start_mb),
        whole(*postgres_mb),
        whole(*nats_mb),
    );
}

fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}

fn fine(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

/// Columns as wide as they must be; the first to the left, numbers to the right.
fn lines<const N: usize>(rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("{}", cells.collect::<Vec<_>>().join("  "));
    }
}
