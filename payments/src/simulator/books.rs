//! The books and the answers given from them, and how both change: each change is written down before it is made.

use std::{collections::HashSet, io, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    answer::Refusal,
    daybook::Daybook,
    faults::{Fate, Faults},
    idempotency::{Answer, Answers},
    ledger::{Change, Counts, Ledger},
    record::Record,
};

/// What one line of the file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Entry {
    /// A call that moved money or tried to, and under what name its answer is remembered.
    Call { under: Option<Arc<str>>, change: Change },
    /// An answer to be remembered; the change behind it, if any, stands elsewhere.
    Answer { under: Arc<str>, answer: Answer },
    /// The counts from here on.
    Counts(Counts),
    /// The faults from here on.
    Faults(Map<String, Value>),
}

#[derive(Default)]
pub(super) struct Books {
    pub ledger: Ledger,
    faults: Faults,
    answers: Answers,
    /// Names of calls that are being carried out. Not kept: a provider that dies forgets what it had not done.
    processing: HashSet<Arc<str>>,
    /// Where they are kept, if not in memory only.
    daybook: Option<Daybook>,
}

impl Books {
    /// As they were left in the file at `path`.
    pub fn kept_in(path: &Path) -> io::Result<Self> {
        let mut books = Self::default();
        books.daybook = Some(Daybook::open(path, |entry| books.enter(entry))?);
        Ok(books)
    }

    /// The first answer under a name. If there was none, `decide` says what changes, and `made` is told of the payment
    /// that has changed.
    pub fn once(
        &mut self,
        under: Option<Arc<str>>,
        decide: impl FnOnce(&Ledger) -> Result<Change, Refusal>,
        made: impl FnOnce(&Record),
    ) -> Answer {
        if let Some(name) = &under {
            if let Some(answer) = self.answers.get(name) {
                return answer.clone();
            }
            if self.processing.contains(name) {
                return Err(Refusal::StillProcessing);
            }
        }
        match (decide(&self.ledger), under) {
            (Ok(change), under) => {
                self.write(&Entry::Call { under: under.clone(), change: change.clone() })?;
                let payment_key = change.payment_key().clone();
                let answer = self.make(under, change);
                if let Ok(record) = self.ledger.by_key(&payment_key) {
                    made(record);
                }
                answer
            }
            (Err(refusal), Some(under)) if !refusal.is_passing() => {
                let answer = Err(refusal);
                self.write(&Entry::Answer { under: under.clone(), answer: answer.clone() })?;
                self.answers.keep(under, answer.clone());
                answer
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Notes that a call is being carried out, unless it has begun before.
    pub fn begin(&mut self, name: &Arc<str>) -> bool {
        self.answers.get(name).is_none() && self.processing.insert(name.clone())
    }

    /// Notes that a call that had begun is carried out now.
    pub fn end(&mut self, name: &str) {
        self.processing.remove(name);
    }

    /// Counts from zero, and no fault any more.
    pub fn reset(&mut self) -> Result<(), Refusal> {
        self.write(&Entry::Counts(Counts::default()))?;
        self.ledger.counts = Counts::default();
        self.keep(Faults::default())
    }

    /// The faults as they are set now.
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// Sets the faults that `change` names and leaves the others as they are.
    pub fn change(&mut self, change: &Map<String, Value>) -> Result<(), Refusal> {
        self.keep(self.faults.changed(change).map_err(Refusal::BadFault)?)
    }

    fn keep(&mut self, faults: Faults) -> Result<(), Refusal> {
        self.write(&Entry::Faults(faults.to_map()))?;
        self.faults = faults;
        Ok(())
    }

    /// Counts a call, and throws the dice for it.
    pub fn take(&mut self) -> Fate {
        self.ledger.counts.calls += 1;
        self.faults.draw()
    }

    fn make(&mut self, under: Option<Arc<str>>, change: Change) -> Answer {
        let answer = self.ledger.make(change);
        if let Some(under) = under {
            self.answers.keep(under, answer.clone());
        }
        answer
    }

    /// Makes again what was written down.
    fn enter(&mut self, entry: Entry) -> Result<(), Refusal> {
        match entry {
            Entry::Call { under, change } => match self.make(under, change) {
                // A decline is what became of the call; any other refusal would have kept it from being written.
                Ok(_) | Err(Refusal::CardDeclined) => {}
                Err(refusal) => return Err(refusal),
            },
            Entry::Answer { under, answer } => self.answers.keep(under, answer),
            Entry::Counts(counts) => self.ledger.counts = counts,
            Entry::Faults(faults) => self.faults = Faults::default().changed(&faults).map_err(Refusal::BadFault)?,
        }
        Ok(())
    }

    /// Writes `entry` down before it is made. Where that fails nothing has happened, and the caller is told of a fault.
    fn write(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let Self { ledger, faults, answers, daybook, processing: _ } = self;
        let Some(daybook) = daybook else { return Ok(()) };
        let made_room = if daybook.is_full() { daybook.replace(entries(ledger, *faults, answers)) } else { Ok(()) };
        made_room.and_then(|()| daybook.write(entry)).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the provider's books cannot be written");
            Refusal::Fault
        })
    }
}

/// What makes these books anew. Calls are not counted over a restart.
fn entries(ledger: &Ledger, faults: Faults, answers: &Answers) -> impl Iterator<Item = Entry> {
    let payments = ledger.in_order().map(|record| Entry::Call { under: None, change: Change::Payment(record.clone()) });
    let answers = answers.in_order().map(|(under, answer)| Entry::Answer { under, answer });
    let counts = Counts { calls: 0, ..ledger.counts };
    payments.chain(answers).chain([Entry::Counts(counts), Entry::Faults(faults.to_map())])
}

#[cfg(test)]
mod tests;
