//! What is checked, and what was found.

use std::fmt;

use aggregates::AggregateType;
use journal::Position;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// Breaches of one check that are told in full; the rest is counted.
pub const BREACHES_SHOWN_MAX: usize = 20;
/// Characters of a text that a breach shows, at most: a body may be long.
const SHOWN_CHARS_MAX: usize = 400;

macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $name:literal, $unit:literal, $title:literal;)+) => {
        /// One thing that must be true of the log, or of what is made from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Check {
            $($(#[$doc])* $check,)+
        }

        impl Check {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$check,)+];

            /// Its name in documents.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$check => $name,)+
                }
            }

            /// What it counts.
            pub const fn unit(self) -> &'static str {
                match self {
                    $(Self::$check => $unit,)+
                }
            }

            /// What it says, if it holds.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$check => $title,)+
                }
            }
        }
    };
}

checks! {
    /// Positions and times.
    Order = "order", "event", "positions have no gap, and time never goes back";
    /// The row that orders appends, and the checkpoints.
    Head = "head", "checkpoint", "the journal's head is the last event, and no follower is beyond it";
    /// Sequences.
    Streams = "streams", "stream", "each aggregate's events are numbered 1, 2, 3 …";
    /// Payloads.
    Decode = "decode", "event", "every event is one that today's code reads, and stands where it says it belongs";
    /// Metadata.
    Origin = "origin", "event", "every event says who, why and in what unit, and follows what it says it follows from";
    /// What decide and evolve allow.
    Transitions = "transitions", "event", "every event is one that its aggregate could come to then";
    /// Invariant 1.
    Oversell = "no-oversell", "position", "1. held + sold <= capacity, and never negative, at every position";
    /// Invariant 2.
    Approvals = "paid-before-approved", "approval", "2. every approved booking was paid before";
    /// Invariant 3.
    Bills = "held-before-billed", "payment", "3. every requested payment had its tickets held before";
    /// Invariant 4.
    Money = "nobody-pays-for-nothing", "charge", "4. all money taken has its approved booking, or went back";
    /// Invariant 8.
    DeadBookings = "no-dead-holds", "ended booking", "8. no ended booking has tickets";
    /// The saga's side of the table in DESIGN.
    FollowUps = "follow-ups", "booking", "what had to follow has followed";
    /// Snapshots of aggregates.
    Snapshots = "snapshots", "snapshot", "every snapshot is the state it says it is";
    /// The projection in Postgres.
    TicketCounts = "ticket-counts", "concert", "the ticket counts are a fold of the log";
    /// The projection in SQLite.
    Histories = "booking-histories", "history", "the booking histories are a fold of the log";
    /// Invariant 6.
    Mirror = "mirror", "message", "6. message N in JetStream is row N in Postgres";
    /// Signed checkpoints.
    Seals = "seals", "seal", "the log has the hashes that were signed";
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Where in the log it shows; `None` where it is about no position.
    pub position: Option<Position>,
    /// What it is about: kind and id of an aggregate, or the name of what else it is.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Breach {
    /// Of an aggregate.
    pub fn of(
        position: Position,
        kind: AggregateType,
        id: Uuid,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::at(position, format!("{kind} {id}"), expected, found)
    }

    /// Of something else at a position.
    pub fn at(
        position: impl Into<Option<Position>>,
        subject: impl Into<String>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Self { position: position.into(), subject: subject.into(), expected: cut(&expected), found: cut(&found) }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "position {position}, ")?;
        }
        write!(f, "{}: expected {}; found {}", self.subject, self.expected, self.found)
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// It holds.
    Sound,
    /// It does not.
    Breached,
    /// There was nothing to check, or it was not asked for.
    Skipped(String),
    /// Nobody could look.
    Unseen(String),
}

/// What one check has counted and found.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Which.
    pub check: Check,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How many it has looked at, of what the check counts.
    pub count: u64,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Breaches in all.
    pub breaches: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_breaches: Vec<Breach>,
}

/// What one part of the audit has found so far.
#[derive(Default)]
pub(crate) struct Findings(Vec<Found>);

#[derive(Default)]
struct Found {
    count: u64,
    breaches: u64,
    first: Vec<Breach>,
    notes: Vec<String>,
    not_checked: Option<Verdict>,
}

impl Findings {
    fn found(&mut self, check: Check) -> &mut Found {
        if self.0.is_empty() {
            self.0.resize_with(Check::ALL.len(), Found::default);
        }
        &mut self.0[check as usize]
    }

    /// Looked at `more` of what the check counts.
    pub fn count(&mut self, check: Check, more: u64) {
        self.found(check).count += more;
    }

    pub fn breach(&mut self, check: Check, breach: Breach) {
        let found = self.found(check);
        found.breaches += 1;
        if found.first.len() < BREACHES_SHOWN_MAX {
            found.first.push(breach);
        }
    }

    /// So many more, which are not told.
    pub fn more_breaches(&mut self, check: Check, more: u64) {
        self.found(check).breaches += more;
    }

    pub fn note(&mut self, check: Check, note: impl Into<String>) {
        self.found(check).notes.push(note.into());
    }

    /// It was not, or could not be, checked.
    pub fn not_checked(&mut self, check: Check, verdict: Verdict) {
        self.found(check).not_checked = Some(verdict);
    }

    /// Takes over what another part has found.
    pub fn merge(&mut self, other: Self) {
        for (check, theirs) in Check::ALL.iter().zip(other.0) {
            let ours = self.found(*check);
            ours.count += theirs.count;
            ours.breaches += theirs.breaches;
            ours.first.extend(theirs.first);
            ours.notes.extend(theirs.notes);
            ours.not_checked = ours.not_checked.take().or(theirs.not_checked);
        }
    }

    /// Everything, in the order of the checks, each one's breaches by position.
    pub fn into_checked(mut self) -> Vec<Checked> {
        self.found(Check::Order);
        Check::ALL
            .iter()
            .zip(self.0)
            .map(|(check, mut found)| {
                found.first.sort_by_key(|breach| breach.position);
                found.first.truncate(BREACHES_SHOWN_MAX);
                let verdict = match found.not_checked {
                    _ if found.breaches > 0 => Verdict::Breached,
                    Some(verdict) => verdict,
                    None => Verdict::Sound,
                };
                Checked {
                    check: *check,
                    verdict,
                    count: found.count,
                    notes: found.notes,
                    breaches: found.breaches,
                    first_breaches: found.first,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_breaches_are_told_and_the_rest_counted() {
        let (mut one, mut other) = (Findings::default(), Findings::default());
        for n in (1..=30).rev() {
            let part = if n % 2 == 0 { &mut one } else { &mut other };
            part.count(Check::Order, 2);
            part.breach(Check::Order, Breach::at(Position(n), "the log", n, "another"));
        }
        one.merge(other);
        let checked = one.into_checked();
        assert_eq!(checked.len(), Check::ALL.len());
        let order = &checked[0];
        assert_eq!((order.count, order.breaches, &order.verdict), (60, 30, &Verdict::Breached));
        assert_eq!(order.first_breaches.len(), BREACHES_SHOWN_MAX);
        assert_eq!(order.first_breaches[0].to_string(), "position 1, the log: expected 1; found another");
        assert!(checked[1..].iter().all(|checked| checked.verdict == Verdict::Sound));
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let breach = Breach::at(None, "x", "가".repeat(SHOWN_CHARS_MAX + 1), "y");
        assert!(breach.expected.ends_with("가… (1203 bytes)"), "{}", breach.expected);
    }

    #[test]
    fn every_check_has_its_place() {
        assert!(Check::ALL.iter().enumerate().all(|(place, check)| place == *check as usize));
    }
}
