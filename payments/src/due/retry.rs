//! What fails is tried again later, and why it failed is kept.

use chrono::Duration;

/// After how long what failed once is tried again; doubled with every try.
const BACKOFF: Duration = Duration::milliseconds(500);
/// How long between two tries, at most.
const BACKOFF_MAX: Duration = Duration::seconds(60);
/// Characters kept of why something failed.
const REASON_CHARS_MAX: usize = 500;

/// How long to wait after so many tries that failed.
pub(crate) fn backoff(tries: i32) -> Duration {
    let doubled = 1_i32.checked_shl(tries.unsigned_abs()).filter(|factor| *factor > 0).unwrap_or(i32::MAX);
    BACKOFF.checked_mul(doubled).map_or(BACKOFF_MAX, |wait| wait.min(BACKOFF_MAX))
}

/// What of a reason is kept. What Postgres cannot hold as text must not keep the others waiting.
pub(crate) fn stored_reason(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_doubled_up_to_a_bound() {
        let waits: Vec<_> = [0, 1, 2, 6, 7, 31, 32, i32::MAX].map(|tries| backoff(tries).num_milliseconds()).into();
        assert_eq!(waits, [500, 1_000, 2_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
    }
}
