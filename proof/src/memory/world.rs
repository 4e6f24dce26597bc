//! The world: one log, one provider, one clock, and two processes over them.

use std::collections::BTreeMap;

use aggregates::PaymentId;
use chrono::{DateTime, Duration, Utc};
use payments::due::Kind;

use super::{
    attending::Row,
    clients::Fan,
    draft::Draft,
    fate::{Fates, Fault, Gate},
    log::{Log, Refusal},
    office::Process,
    webhooks::{Change, Letter},
    wire::{Late, Message},
};
use crate::{Breach, Dice, Tally, bank::Bank};

/// The world begins then.
const BEGINNING: DateTime<Utc> = DateTime::from_timestamp_nanos(1_900_000_000_000_000_000);
/// How long a unit of work can be on its way, in milliseconds: the journal looks for it no longer.
const UNIT_LATE_MS_MAX: u64 = 30_000;
/// Lines kept of what has happened.
const STORY_LINES_MAX: usize = 4_000;
/// Characters kept of each.
const STORY_CHARS_MAX: usize = 300;

/// A mistake that somebody could have made, to see whether the proof finds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    /// None: the product as it is.
    #[default]
    None,
    /// Each time money is sent back, it is under a new idempotency key.
    NewRefundKey,
    /// The saga writes what follows, but not how far it is.
    CheckpointStays,
    /// The saga writes how far it is, but not what follows, when it is told to do both at once.
    EffectIsLost,
    /// The saga takes the booking as it was at the event, not as it is.
    OldBooking,
    /// A saga that takes over does not wait until it has seen all that the last one wrote.
    BlindSuccessor,
    /// Tries that were given up are not looked at again.
    NoVerification,
    /// Holds end though somebody is paying.
    NoPatience,
    /// The provider is called before that is written down.
    EffectBeforeIntent,
    /// Concerts that are called off keep their bookings once the process that cancels them has died.
    ForgottenCancellations,
    /// A refund that was not answered counts as made.
    HopefulRefund,
    /// Whoever finds that money came, and went back already, notes nothing before doing what follows step by step.
    NothingMoreNoted,
}

impl Mutation {
    /// The mistakes that random schedules find soon.
    pub const MISTAKES: [Self; 9] = [
        Self::NewRefundKey,
        Self::CheckpointStays,
        Self::EffectIsLost,
        Self::OldBooking,
        Self::NoVerification,
        Self::NoPatience,
        Self::EffectBeforeIntent,
        Self::ForgottenCancellations,
        Self::HopefulRefund,
    ];
}

/// Everything.
pub(super) struct World {
    pub(super) log: Log,
    pub(super) bank: Bank,
    pub(super) now: DateTime<Utc>,
    pub(super) dice: Dice,
    pub(super) fates: Fates,
    /// How many gates were passed, and which.
    pub(super) passed: Vec<Gate>,
    /// How many times in a thousand a process reads what is not the newest.
    pub(super) lags: u64,
    /// How many times in a thousand a card is declined.
    pub(super) declines: u64,
    /// Events that the saga takes at once, at most.
    pub(super) batch: usize,
    pub(super) processes: [Process; 2],
    /// Which of them has the offices that only one should have. Losing one is noticed late, so the other may act as well.
    pub(super) elected: usize,
    pub(super) wire: Vec<Late>,
    pub(super) table: BTreeMap<(PaymentId, Kind), Row>,
    /// Webhooks that were taken.
    pub(super) inbox: BTreeMap<Change, Letter>,
    /// How often a webhook is repeated, at most; `None` where the provider tells nothing by itself.
    pub(super) webhooks: Option<u64>,
    pub(super) fans: Vec<Fan>,
    pub(super) mutation: Mutation,
    story: Option<Vec<String>>,
    tally: Tally,
}

/// What whoever writes a unit of work is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is written; and whoever asked asks once more, if it `repeats`.
    Done { repeats: bool },
    /// It is not.
    Refused(Refusal),
    /// Nobody knows, or there is no journal; both are errors for whoever asked.
    Failed,
    /// Whoever asked is dead.
    Died,
}

impl World {
    pub(super) fn new(seed: u64, fates: Fates, mutation: Mutation) -> Self {
        let gullible = mutation == Mutation::NewRefundKey || seed % 2 == 1;
        Self {
            log: Log::default(),
            bank: if gullible { Bank::gullible() } else { Bank::default() },
            now: BEGINNING,
            dice: Dice::new(seed),
            fates,
            passed: Vec::new(),
            lags: 0,
            declines: 0,
            batch: usize::MAX,
            processes: [Process::default(), Process::default()],
            elected: 0,
            wire: Vec::new(),
            table: BTreeMap::new(),
            inbox: BTreeMap::new(),
            webhooks: Some(0),
            fans: Vec::new(),
            mutation,
            story: None,
            tally: Tally::default(),
        }
    }

    /// Writes down what happens, for people.
    pub(super) fn with_story(mut self) -> Self {
        self.story = Some(Vec::new());
        self
    }

    pub(super) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.as_ref().is_some_and(|story| story.len() < STORY_LINES_MAX) {
            let line: String = line(self).chars().take(STORY_CHARS_MAX).collect();
            let line = format!("{} #{} {line}", self.now.format("%H:%M:%S%.3f"), self.log.head());
            self.story.get_or_insert_default().push(line);
        }
    }

    /// What has happened, with ids as short as the fans are few.
    pub(super) fn story(&self) -> String {
        let story = self.story.as_deref().unwrap_or_default().join("\n");
        let named = self
            .fans
            .iter()
            .fold(story, |story, fan| story.replace(&fan.payment().to_string(), &format!("of {}", fan.booking)));
        named.replace("00000000-0000-0000-0000-000000000", "")
    }

    /// A step passes a gate.
    pub(super) fn pass(&mut self, gate: Gate) -> Option<Fault> {
        let fault = self.fates.at(gate, self.passed.len(), &mut self.dice);
        self.passed.push(gate);
        if let Some(fault) = fault {
            self.tally.met(format!("{gate:?} {fault:?}"));
            self.tell(|world| format!("gate {} {gate:?}: {fault:?}", world.passed.len() - 1));
        }
        fault
    }

    /// Process `p` writes a unit of work.
    pub(super) fn write(&mut self, p: usize, gate: Gate, draft: &Draft) -> Result<Written, Breach> {
        let fault = if draft.is_empty() { None } else { self.pass(gate) };
        match fault {
            Some(Fault::Fails) => return Ok(Written::Failed),
            Some(Fault::CrashesBefore) => {
                self.crash(p);
                return Ok(Written::Died);
            }
            Some(Fault::ComesLate) => {
                self.send(UNIT_LATE_MS_MAX, Message::Unit { draft: draft.clone(), again: false });
                return Ok(Written::Failed);
            }
            Some(Fault::CrashesAfter | Fault::LosesAnswer | Fault::Repeats) | None => {}
        }
        if let Err(refusal) = self.commit(draft)? {
            self.tally.met(format!("{gate:?} {refusal:?}"));
            self.see_conflict(p, draft);
            return Ok(Written::Refused(refusal));
        }
        self.see_own(p, draft);
        match fault {
            Some(Fault::CrashesAfter) => {
                self.crash(p);
                Ok(Written::Died)
            }
            Some(Fault::LosesAnswer) => Ok(Written::Failed),
            Some(Fault::Repeats) => {
                self.send(UNIT_LATE_MS_MAX, Message::Unit { draft: draft.clone(), again: true });
                Ok(Written::Done { repeats: true })
            }
            Some(Fault::Fails | Fault::CrashesBefore | Fault::ComesLate) | None => Ok(Written::Done { repeats: false }),
        }
    }

    pub(super) fn commit(&mut self, draft: &Draft) -> Result<Result<(), Refusal>, Breach> {
        let before = self.log.head();
        let outcome = self.log.commit(draft, self.now);
        if let Ok(Ok(())) = outcome {
            self.enter(draft);
        }
        self.tell(|world| {
            let names: Vec<_> = draft.events.iter().map(|(event, _)| event.name()).collect();
            format!("commit from {before}: {names:?} {:?} -> {outcome:?}, head {}", draft.checkpoint, world.log.head())
        });
        outcome
    }

    /// Counts that `what` was met.
    pub(super) fn meet(&mut self, what: &str) {
        self.tally.met(what);
    }

    /// What this world has met: faults at gates, events, and refusals.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        for entry in &self.log.entries {
            tally.met(entry.event.name());
        }
        tally
    }

    pub(super) fn pass_time(&mut self, milliseconds: u64) {
        self.now += Duration::milliseconds(milliseconds.cast_signed());
    }
}
