//! What the figures should be, and what they are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Entry, Figures, RoundFigures, median};
use crate::scenarios::Name;

/// Something that the figures should reach.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub what: String,
    pub unit: Unit,
    pub needed: f64,
    /// Whether that is an upper bound.
    pub at_most: bool,
    /// What was found; `None` where a part of it was not measured.
    pub found: Option<f64>,
    /// The least and the most of the rounds.
    pub spread: Option<(f64, f64)>,
    pub met: Option<bool>,
}

/// What a target is counted in.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Unit {
    Times,
    /// Parts of a whole; 1 is all of it.
    Share,
    PerSecond,
    Milliseconds,
    Seconds,
    Megabytes,
}

impl Target {
    /// A value of it, for people.
    pub fn say(&self, value: f64) -> String {
        match self.unit {
            Unit::Times => format!("{value:.1} times"),
            Unit::Share => format!("{:.0} %", 100.0 * value),
            Unit::PerSecond => format!("{value:.0}/s"),
            Unit::Milliseconds => format!("{value:.1} ms"),
            Unit::Seconds => format!("{value:.1} s"),
            Unit::Megabytes => format!("{value:.0} MB"),
        }
    }

    fn new(what: impl Into<String>, unit: Unit, needed: f64, at_most: bool, found: Option<f64>) -> Self {
        let met = found.map(|found| if at_most { found <= needed } else { found >= needed });
        Self { what: what.into(), unit, needed, at_most, found, spread: None, met }
    }
}

struct Found<'a>(&'a BTreeMap<Name, Entry>);

impl Found<'_> {
    fn figures(&self, name: Name) -> Option<&Figures> {
        self.0.get(&name).and_then(Entry::figures)
    }

    /// `name` by `other`: the median of what each round gives beside the same round of the other.
    fn ratio(&self, (name, other): (Name, Name), rate: Rate, unit: Unit, needed: f64) -> Target {
        let what = match rate {
            Rate::Done => "",
            Rate::Events => " in events a second",
        };
        let each = |round: &RoundFigures| match rate {
            Rate::Done => Some(round.per_second),
            Rate::Events => round.events_per_second,
        };
        let of = |name: Name| self.figures(name).map(|figures| figures.rounds.iter().filter_map(each).collect());
        let (ours, theirs): (Vec<f64>, Vec<f64>) = (of(name).unwrap_or_default(), of(other).unwrap_or_default());
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        let what = format!("{} beside {}{what}", name.as_str(), other.as_str());
        let mut target = Target::new(what, unit, needed, false, median(ratios.iter().copied()));
        target.spread = ratios.iter().copied().reduce(f64::min).zip(ratios.iter().copied().reduce(f64::max));
        target
    }

    fn most(&self, name: Name, what: &str, unit: Unit, needed: f64, of: fn(&Figures) -> Option<f64>) -> Target {
        Target::new(format!("{}: {what}", name.as_str()), unit, needed, true, self.figures(name).and_then(of))
    }

    fn least_per_second(&self, name: Name, needed: f64) -> Target {
        let found = self.figures(name).map(|figures| figures.per_second);
        Target::new(format!("{}: a second", name.as_str()), Unit::PerSecond, needed, false, found)
    }
}

#[derive(Clone, Copy)]
enum Rate {
    Done,
    Events,
}

/// All of them.
pub(crate) fn targets(scenarios: &BTreeMap<Name, Entry>) -> Vec<Target> {
    let found = Found(scenarios);
    let times = |pair, needed| found.ratio(pair, Rate::Done, Unit::Times, needed);
    let share = |pair, needed| found.ratio(pair, Rate::Done, Unit::Share, needed);
    let of_journal = |name| found.ratio((name, Name::JournalLimit), Rate::Events, Unit::Share, 0.6);
    let mut targets = vec![
        times((Name::Book, Name::CrudPeer), 6.0),
        times((Name::Book, Name::NaiveEsPeer), 20.0),
        of_journal(Name::Book),
        times((Name::Lifecycle, Name::CrudPeerLifecycle), 4.0),
        times((Name::Lifecycle, Name::NaiveEsPeer), 20.0),
        of_journal(Name::Lifecycle),
        found.least_per_second(Name::Lifecycle, 2_000.0),
        found.most(Name::Book, "p99 at half of its maximum", Unit::Milliseconds, 25.0, |book| book.latency.p99),
        found.most(Name::Book, "p99.9 at half of its maximum", Unit::Milliseconds, 60.0, |book| book.latency.p999),
        found.most(Name::SellOut, "until every buyer has an answer", Unit::Seconds, 12.0, |sale| sale.seconds),
        share((Name::Growth, Name::Book), 0.9),
        share((Name::Many, Name::Book), 0.9),
        share((Name::ReadsHistory, Name::HttpLimit), 0.6),
        share((Name::ReadsConcert, Name::HttpLimit), 0.8),
        share((Name::RebuildTicketCounts, Name::ScanLimit), 0.6),
        found.least_per_second(Name::RebuildMypage, 150_000.0),
        share((Name::Verify, Name::ScanLimit), 0.5),
    ];
    let memory = |name, needed| found.most(name, "memory at its most", Unit::Megabytes, needed, |of| of.rss_mb);
    let serving = [Name::Book, Name::Lifecycle, Name::Accept, Name::SellOut, Name::Growth, Name::Many];
    targets.extend(serving.map(|name| memory(name, 400.0)));
    targets.extend([Name::RebuildTicketCounts, Name::RebuildMypage].map(|name| memory(name, 300.0)));
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Latency;

    fn measured(rates: &[f64]) -> Entry {
        let round = |per_second: &f64| RoundFigures { per_second: *per_second, ..RoundFigures::default() };
        Entry::Measured(Box::new(Figures::of("x", rates.iter().map(round).collect(), &Latency::default())))
    }

    #[test]
    fn a_ratio_is_of_rounds_beside_each_other_and_is_missing_where_one_side_is() {
        // In the second round everything was disturbed: the ratio is not.
        let scenarios = BTreeMap::from([
            (Name::Book, measured(&[600.0, 60.0, 660.0])),
            (Name::CrudPeer, measured(&[100.0, 10.0, 100.0])),
            (Name::NaiveEsPeer, Entry::not_there("nothing".to_owned())),
        ]);
        let targets = targets(&scenarios);
        let found =
            |what: &str| targets.iter().find(|target| target.what == what).map(|target| (target.found, target.met));
        assert_eq!(found("book beside crud-peer"), Some((Some(6.0), Some(true))));
        assert_eq!(targets[0].spread, Some((6.0, 6.6)));
        assert_eq!(found("book beside naive-es-peer"), Some((None, None)));
    }

    #[test]
    fn an_upper_bound_is_not_met_by_more() {
        let target = |found| Target::new("x", Unit::Seconds, 12.0, true, Some(found)).met;
        assert_eq!((target(11.0), target(13.0)), (Some(true), Some(false)));
    }
}
