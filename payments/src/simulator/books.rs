//! The books and the answers given from them, and how both change: each change is written down before it is made.

use std::{io, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    answer::Refusal,
    daybook::Daybook,
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
}

#[derive(Default)]
pub(super) struct Books {
    pub ledger: Ledger,
    answers: Answers,
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

    /// The first answer under `key` at `path`. If there was none, `decide` says what changes, and `made` is told of the
    /// payment behind a call that has succeeded.
    pub fn once(
        &mut self,
        path: &str,
        key: Option<&str>,
        decide: impl FnOnce(&Ledger) -> Result<Change, Refusal>,
        made: impl FnOnce(&Record),
    ) -> Answer {
        let under: Option<Arc<str>> = key.map(|key| format!("{path}\n{key}").into());
        if let Some(answer) = under.as_ref().and_then(|name| self.answers.get(name)) {
            return answer.clone();
        }
        match (decide(&self.ledger), under) {
            (Ok(change), under) => {
                self.write(&Entry::Call { under: under.clone(), change: change.clone() })?;
                self.make(under, change).inspect(made)
            }
            (Err(refusal), Some(under)) if !refusal.is_fault() => {
                let answer = Err(refusal);
                self.write(&Entry::Answer { under: under.clone(), answer: answer.clone() })?;
                self.answers.keep(under, answer.clone());
                answer
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Counts from zero.
    pub fn reset(&mut self) -> Result<(), Refusal> {
        self.write(&Entry::Counts(Counts::default()))?;
        self.ledger.counts = Counts::default();
        Ok(())
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
        }
        Ok(())
    }

    /// Writes `entry` down before it is made. Where that fails nothing has happened, and the caller is told of a fault.
    fn write(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let Self { ledger, answers, daybook } = self;
        let Some(daybook) = daybook else { return Ok(()) };
        let made_room = if daybook.is_full() { daybook.replace(entries(ledger, answers)) } else { Ok(()) };
        made_room.and_then(|()| daybook.write(entry)).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the provider's books cannot be written");
            Refusal::Fault
        })
    }
}

/// What makes these books anew. Calls are not counted over a restart.
fn entries(ledger: &Ledger, answers: &Answers) -> impl Iterator<Item = Entry> {
    let payments = ledger.in_order().map(|record| Entry::Call { under: None, change: Change::Payment(record.clone()) });
    let answers = answers.in_order().map(|(under, answer)| Entry::Answer { under, answer });
    payments.chain(answers).chain([Entry::Counts(Counts { calls: 0, ..ledger.counts })])
}

#[cfg(test)]
mod tests;
