//! The figures of a scenario, from those of its rounds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cpu;
use crate::{load::Latency, scenarios::Lag};

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Millis {
    #[serde(rename = "p50Ms")]
    pub p50: Option<f64>,
    #[serde(rename = "p99Ms")]
    pub p99: Option<f64>,
    #[serde(rename = "p999Ms")]
    pub p999: Option<f64>,
}

impl Millis {
    pub fn of(latency: &Latency) -> Self {
        Self { p50: latency.millis(0.5), p99: latency.millis(0.99), p999: latency.millis(0.999) }
    }
}

/// One measured round.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoundFigures {
    /// Done within the round's time.
    pub per_second: f64,
    /// Events of the journal that these make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<f64>,
    /// Done in all, also those that ended after the time.
    pub done: u64,
    pub failed: u64,
    /// How long it took, where that is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// From the last answer until what was accepted was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<f64>,
    /// With that time counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second_drained: Option<f64>,
    /// Events in the journal when it began.
    pub journal_before: u64,
    /// How far the followers of the log were behind at the end of the round, in events.
    pub lag: Lag,
    /// How long it took the last of them to come to the end.
    pub settle_seconds: f64,
    /// From the beginning of the round until all had settled.
    pub cpu: Cpu,
    /// The most that the server had in this round.
    pub rss_mb: Option<f64>,
    /// What it had when the round began, in the middle of it, and when it ended.
    pub rss_start_mb: Option<f64>,
    pub rss_middle_mb: Option<f64>,
    pub rss_end_mb: Option<f64>,
}

/// A scenario.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// What `perSecond` counts.
    pub counts: &'static str,
    /// Median of the rounds.
    pub per_second: f64,
    pub per_second_least: f64,
    pub per_second_most: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second_drained: Option<f64>,
    /// Median of what a round took, where that is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// At half of that rate, open loop; of a limit without one, of its own steps.
    #[serde(flatten)]
    pub latency: Millis,
    /// The rate at which the latencies were measured; absent where it was the maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_at_per_second: Option<f64>,
    /// At the maximum rate, closed loop: mostly the time in queues.
    pub at_maximum: Millis,
    /// All of them, where they are at a fixed rate.
    #[serde(skip)]
    pub histogram: Latency,
    /// Of all rounds.
    pub server_cpu_seconds: f64,
    pub cpu: Cpu,
    /// The load generator's part of the processor time at the maximum, and at the fixed rate.
    pub generator_share: Option<f64>,
    pub generator_share_open: Option<f64>,
    /// Of all rounds, by what was done.
    pub server_cpu_micros_each: f64,
    /// The most in any round: of the product's process, or of the limit's server.
    pub rss_mb: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    pub rounds: Vec<RoundFigures>,
}

/// A scenario in the report.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    Measured(Box<Figures>),
    /// The product lacks what it would measure. Never a number.
    #[serde(rename_all = "camelCase")]
    NotThere {
        not_there: String,
        per_second: Option<f64>,
        #[serde(flatten)]
        latency: Millis,
        server_cpu_seconds: Option<f64>,
        rss_mb: Option<f64>,
    },
}

impl Entry {
    pub fn not_there(why: String) -> Self {
        let latency = Millis::default();
        Self::NotThere { not_there: why, per_second: None, latency, server_cpu_seconds: None, rss_mb: None }
    }

    /// What was measured, if anything.
    pub fn figures(&self) -> Option<&Figures> {
        match self {
            Self::Measured(figures) => Some(figures),
            Self::NotThere { .. } => None,
        }
    }
}

/// The middle one; the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

impl Figures {
    /// Of these rounds; at least one.
    pub fn of(counts: &'static str, rounds: Vec<RoundFigures>, latency: &Latency) -> Self {
        let rates = || rounds.iter().map(|round| round.per_second);
        let cpu = rounds.iter().fold(Cpu::default(), |sum, round| sum.plus(round.cpu));
        #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
        let done = rounds.iter().map(|round| round.done).sum::<u64>().max(1) as f64;
        Self {
            counts,
            per_second: median(rates()).unwrap_or(0.0),
            per_second_least: rates().fold(f64::INFINITY, f64::min),
            per_second_most: rates().fold(0.0, f64::max),
            events_per_second: median(rounds.iter().filter_map(|round| round.events_per_second)),
            seconds: median(rounds.iter().filter_map(|round| round.seconds)),
            histogram: Latency::default(),
            generator_share: cpu.generator_share(),
            generator_share_open: None,
            per_second_drained: median(rounds.iter().filter_map(|round| round.per_second_drained)),
            latency: Millis::of(latency),
            latency_at_per_second: None,
            at_maximum: Millis::of(latency),
            server_cpu_seconds: cpu.server(),
            cpu,
            server_cpu_micros_each: cpu.server() * 1e6 / done,
            rss_mb: rounds.iter().filter_map(|round| round.rss_mb).reduce(f64::max),
            failures: BTreeMap::new(),
            rounds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_not_moved_by_one_bad_round() {
        assert_eq!(median([3.0, 100.0, 1.0].into_iter()), Some(3.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0].into_iter()), Some(3.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_scenario_has_its_spread_and_its_cost() {
        let round = |per_second, product| RoundFigures {
            per_second,
            done: 1_000,
            cpu: Cpu { product, generator: 9.0, ..Cpu::default() },
            rss_mb: Some(per_second),
            ..RoundFigures::default()
        };
        let figures =
            Figures::of("x", vec![round(20.0, 0.5), round(10.0, 0.25), round(60.0, 0.25)], &Latency::default());
        assert_eq!((figures.per_second_least, figures.per_second, figures.per_second_most), (10.0, 20.0, 60.0));
        assert_eq!((figures.server_cpu_seconds, figures.rss_mb), (1.0, Some(60.0)));
        assert!((figures.server_cpu_micros_each - 1e6 / 3_000.0).abs() < 1e-6);
    }
}
