//! Which events a projection wants, said once: to the runner, and to Postgres when the log is copied out of it.

use aggregates::AggregateType;

/// Kinds of aggregates that matter, and of each the names of events that do not. Names that are not known are wanted:
/// nobody can say that they do not matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted(&'static [Kind]);

#[derive(Clone, Copy, Debug)]
struct Kind {
    aggregate: AggregateType,
    /// Names of events that change nothing. None of ours has a quote in it.
    but: &'static [&'static str],
}

/// Nothing was given and nothing taken; there may not even be such a concert.
pub(crate) const BY_TICKET_COUNTS: Wanted =
    Wanted(&[Kind { aggregate: AggregateType::Concert, but: &["TicketsRefused"] }]);

/// How a booking comes to be paid is not a status of it, and of people only that they are erased.
pub(crate) const BY_MYPAGE: Wanted = Wanted(&[
    Kind { aggregate: AggregateType::Booking, but: &[] },
    Kind {
        aggregate: AggregateType::Payment,
        but: &[
            "PaymentAttempted",
            "PaymentDeclined",
            "PaymentAttemptAbandoned",
            "PaymentPutOff",
            "PaymentCancelRequested",
        ],
    },
    Kind { aggregate: AggregateType::User, but: &["UserRegistered"] },
]);

impl Wanted {
    /// Whether an event of this name is.
    pub fn has(self, aggregate: AggregateType, event_type: &str) -> bool {
        self.0.iter().any(|kind| kind.aggregate == aggregate && !kind.but.contains(&event_type))
    }

    /// The same in SQL, over the columns of `events`.
    pub fn to_sql(self) -> String {
        let kinds = self.0.iter().map(|Kind { aggregate, but }| {
            let but: Vec<_> = but.iter().map(|name| format!("'{name}'")).collect();
            let but =
                if but.is_empty() { String::new() } else { format!(" AND event_type NOT IN ({})", but.join(", ")) };
            format!("(aggregate_type = '{aggregate}'{but})")
        });
        format!("({})", kinds.collect::<Vec<_>>().join(" OR "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_wanted() {
        assert!(BY_TICKET_COUNTS.has(AggregateType::Concert, "TicketsHeld"));
        assert!(BY_TICKET_COUNTS.has(AggregateType::Concert, "TicketsRaffled"));
        assert!(!BY_TICKET_COUNTS.has(AggregateType::Concert, "TicketsRefused"));
        assert!(!BY_TICKET_COUNTS.has(AggregateType::Booking, "TicketsHeld"));
        assert!(BY_MYPAGE.has(AggregateType::User, "UserErased"));
        assert!(!BY_MYPAGE.has(AggregateType::Payment, "PaymentAttempted"));
        assert_eq!(
            BY_TICKET_COUNTS.to_sql(),
            "((aggregate_type = 'concert' AND event_type NOT IN ('TicketsRefused')))"
        );
    }
}
