//! Times as the service writes them: in Korean time.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// How much later it is there.
const AHEAD: TimeDelta = TimeDelta::hours(9);

/// `yyyy-MM-dd'T'HH:mm:ss+09:00`, as in payments.
pub(super) fn time(at: DateTime<Utc>) -> String {
    on_the_wall(at).format("%Y-%m-%dT%H:%M:%S+09:00").to_string()
}

/// `yyyy-MM-dd'T'HH:mm:ss.SSSSSS`, without the offset, as in `createdAt` of webhooks.
pub(super) fn local_time(at: DateTime<Utc>) -> String {
    on_the_wall(at).format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

fn on_the_wall(at: DateTime<Utc>) -> NaiveDateTime {
    (at + AHEAD).naive_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_nine_hours_later_in_korea() {
        let at = DateTime::from_timestamp(1_700_000_000, 5_000).unwrap();
        assert_eq!(time(at), "2023-11-15T07:13:20+09:00");
        assert_eq!(local_time(at), "2023-11-15T07:13:20.000005");
    }
}
