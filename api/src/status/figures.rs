//! Figures as people read them.

/// With a comma every three digits.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let commas = digits.len().saturating_sub(1) / 3;
    let mut text = String::with_capacity(digits.len() + commas);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in its one fitting unit.
pub(crate) fn duration(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    let seconds = seconds.max(0.0);
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 2.0 * MINUTE {
        format!("{seconds:.0} s")
    } else if seconds < 2.0 * HOUR {
        format!("{:.0} min", seconds / MINUTE)
    } else if seconds < 2.0 * DAY {
        format!("{:.0} h", seconds / HOUR)
    } else {
        format!("{:.0} days", seconds / DAY)
    }
}

/// A share as a percentage. What is not all is never rounded to all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 100.0 { "100 %".to_owned() } else { format!("{:.1} %", percent.min(99.9)) }
}

/// `1 refund`, `2 refunds`.
pub(crate) fn several(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let durations = [-1.0, 0.04, 9.9, 9.97, 119.0, 121.0, 7_300.0, 260_000.0].map(duration);
        assert_eq!(durations, ["0.0 s", "0.0 s", "9.9 s", "10 s", "119 s", "2 min", "2 h", "3 days"]);
        assert_eq!([1.0, 0.999_99, 0.5, 0.0].map(percent), ["100 %", "99.9 %", "50.0 %", "0.0 %"]);
        assert_eq!((several(1, "refund"), several(2_000, "refund")), ("1 refund".into(), "2,000 refunds".into()));
    }
}
