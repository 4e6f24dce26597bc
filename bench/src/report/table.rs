//! The report for people.

use super::{Cpu, Figures, Memory, Millis, Report};
use crate::scenarios::{Lag, Name};

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
const CPU_HEAD: [&str; 7] = ["CPU seconds", "generator", "boxoffice", "postgres", "nats", "limit", "others"];

/// Prints it to standard output.
pub(crate) fn print(report: &Report) {
    let Report { machine, settings, scenarios, memory, checks, complaints } = report;
    println!("{}", machine.describe());
    println!(
        "{} connections, {} rounds of {} s after {} warm-ups; medians; load generator, servers and product on the same cores",
        settings.connections, settings.rounds, settings.round_seconds, settings.warm_ups
    );
    println!();
    let rows = scenarios.iter().map(|(name, figures)| row(*name, figures));
    lines(&std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect::<Vec<_>>());
    println!("latencies: open loop at half of the rate, from when each request was due; journal-limit: of one insert");
    println!();
    let rows = scenarios.iter().map(|(name, figures)| cpu_row(*name, &figures.cpu));
    lines(&std::iter::once(CPU_HEAD.map(str::to_owned)).chain(rows).collect::<Vec<_>>());
    println!(
        "all rounds, each until everything that follows from it was done; others: whatever else ran on this machine"
    );
    println!();
    for (name, figures) in scenarios {
        notes(*name, figures);
    }
    share_of_limit(report);
    of_memory(memory);
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
        whole(Some(figures.server_cpu_micros_each)),
        whole(figures.rss_mb),
    ]
}

fn cpu_row(name: Name, cpu: &Cpu) -> [String; 7] {
    let Cpu { generator, product, postgres, nats, limit, others } = *cpu;
    let seconds = [generator, product, postgres, nats, limit, others].map(|seconds| fine(Some(seconds)));
    let [generator, product, postgres, nats, limit, others] = seconds;
    [name.as_str().to_owned(), generator, product, postgres, nats, limit, others]
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

fn share_of_limit(report: &Report) {
    let events = |name: Name| report.scenarios.get(&name).and_then(|figures| figures.events_per_second);
    let Some(limit) = events(Name::JournalLimit) else { return };
    for name in [Name::Book, Name::Lifecycle] {
        if let Some(events) = events(name) {
            println!("{}: {:.0} % of journal-limit in events a second", name.as_str(), 100.0 * events / limit);
        }
    }
}

fn of_memory(memory: &Memory) {
    let Memory { product_at_start_mb, product_mb, postgres_mb, nats_mb, generator_mb, events } = memory;
    println!(
        "memory with {events} events: boxoffice {} MB ({} at the start), postgres {} MB, nats {} MB, generator {} MB",
        whole(*product_mb),
        whole(*product_at_start_mb),
        whole(*postgres_mb),
        whole(*nats_mb),
        whole(*generator_mb)
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
