//! The process, looked at from inside.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use nats::RelayState;
use projections::ParkedBoard;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Halted, RelayActivity, Standstills, Vitals,
    document::{CacheUse, Holds, ParkedEvents},
    gauges,
};
use crate::http::Api;

/// This process, and where in it to look.
pub(crate) struct Subject {
    /// What its row is known by.
    pub process: Uuid,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// Where its HTTP is.
    pub listen: SocketAddr,
    /// What its handlers can reach.
    pub api: Api,
    /// Its projections that have stopped.
    pub standstills: Standstills,
    /// What its projections have parked.
    pub parked: [(&'static str, ParkedBoard); 2],
}

/// Parked events of one projection that are told of, at most.
const PARKED_TOLD_MAX: usize = 10;

impl Subject {
    /// Where the row goes.
    pub fn pool(&self) -> &PgPool {
        self.api.journal.pool()
    }

    /// How the process is now.
    pub fn vitals(&self) -> Vitals {
        let api = &self.api;
        let (aggregates, hits, misses) = api.journal.cache_usage();
        let (relay, halted) = relay(&api.health.relay.borrow().state);
        Vitals {
            host: host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            listen: self.listen,
            journal_position: api.journal.position(),
            cache: CacheUse { aggregates, hits, misses },
            relay,
            halted,
            ticket_counts_position: api.concerts.position(),
            mypage_position: api.mypage.position(),
            breaker: api.cashier.as_ref().map(|cashier| cashier.breaker().into()),
            holds: holds(&api.health.metrics.render()),
            standstills: self.standstills.all(),
            parked: self.parked.iter().filter_map(|(name, board)| parked(name, board)).collect(),
        }
    }
}

/// The saga's gauges, which keep their last values when it is no longer elected.
fn holds(rendered: &str) -> Option<Holds> {
    let names = ["saga_elected", "holds_waiting", "holds_overdue_seconds", "holds_due", "holds_due_in_a_minute"];
    let [elected, waiting, overdue, due, soon] = gauges::pick(rendered, names);
    let (waiting, overdue_seconds) = waiting.zip(overdue).filter(|_| elected.is_some_and(|elected| elected > 0.0))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count that was made a float")]
    let count = |gauge: f64| gauge as u64;
    let [due, due_in_a_minute] = [due, soon].map(|gauge| count(gauge.unwrap_or_default()));
    Some(Holds { waiting: count(waiting), overdue_seconds, due, due_in_a_minute })
}

fn parked(name: &str, board: &ParkedBoard) -> Option<ParkedEvents> {
    let mut first = board.all();
    let count = first.len();
    first.truncate(PARKED_TOLD_MAX);
    (count > 0).then(|| ParkedEvents { projection: name.to_owned(), count, first })
}

fn relay(state: &RelayState) -> (RelayActivity, Option<Halted>) {
    match state {
        RelayState::Standby => (RelayActivity::Standby, None),
        RelayState::CatchingUp => (RelayActivity::CatchingUp, None),
        RelayState::Live => (RelayActivity::Live, None),
        RelayState::Disconnected => (RelayActivity::Disconnected, None),
        RelayState::Halted(halt) => {
            let halted = Halted { reason: halt.reason.clone(), remedy: halt.remedy.to_owned() };
            (RelayActivity::Halted, Some(halted))
        }
    }
}

fn host() -> String {
    nix::unistd::gethostname().map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_are_told_by_the_elected_saga_alone() {
        let gauges = "holds_waiting 3\nholds_overdue_seconds 1.5\nholds_due 1\nholds_due_in_a_minute 2\n";
        let told = Holds { waiting: 3, overdue_seconds: 1.5, due: 1, due_in_a_minute: 2 };
        assert_eq!(holds(&format!("{gauges}saga_elected 1\n")), Some(told));
        assert_eq!(holds(&format!("{gauges}saga_elected 0\n")), None);
        assert_eq!(holds("saga_elected 1\n"), None);
    }
}
