//! Durations, by their percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest duration that is told apart, in microseconds; longer ones count as this long.
const LONGEST_MICROS: u64 = 120_000_000;
/// Digits that are exact.
const DIGITS: u8 = 3;

/// A histogram of durations.
#[derive(Clone)]
pub(crate) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS);
        Self(histogram.unwrap_or_else(|error| unreachable!("the bounds are constants: {error}")))
    }
}

impl Latency {
    /// Adds one.
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(LONGEST_MICROS).max(1));
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).unwrap_or_else(|error| unreachable!("all have the same bounds: {error}"));
    }

    /// Milliseconds within which `share` (0 to 1) of them were; `None` where there are none.
    pub fn millis(&self, share: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "microseconds up to two minutes")]
        let millis = || self.0.value_at_quantile(share) as f64 / 1_000.0;
        (!self.0.is_empty()).then(millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_that_was_added() {
        let (mut fast, mut slow) = (Latency::default(), Latency::default());
        (0..990).for_each(|_| fast.record(Duration::from_millis(2)));
        (0..10).for_each(|_| slow.record(Duration::from_hours(1)));
        fast.add(&slow);
        let near = |share, millis: f64| fast.millis(share).is_some_and(|is| (is / millis - 1.0).abs() < 0.001);
        assert!(near(0.5, 2.0) && near(0.99, 2.0) && near(0.999, 120_000.0), "{:?}", fast.millis(0.999));
        assert_eq!(Latency::default().millis(0.5), None);
    }
}
