//! Checkpoints from outside the database: kept by somebody, published, or left by the sealer beside its key. Who rewrote the
//! database could not make these anew with it.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::{Breach, SealCheck};
use crate::{Checkpoint, Hash, SealError, VerifierKey, rows};

/// Published checkpoints whose rows are read at once.
const PUBLISHED_ROWS_MAX: usize = 1_024;
/// Published checkpoints that are not as in the database and are compared with the tree too: 10 MB of them. Of more it is only
/// said that they differ.
const DIFFERING_MAX: usize = 65_536;

/// Those that the tree has not come to, by its size.
#[derive(Default)]
pub(super) struct Outside {
    due: BTreeMap<(u64, usize), Witness>,
    added: usize,
}

/// One of them.
struct Witness {
    source: Source,
    root: Hash,
}

/// Whose it is.
enum Source {
    /// Somebody's, in this file.
    Kept(String),
    /// The sealer's, in this file.
    LastSigned(String),
    /// Published, and not as it is in the database.
    Published { number: u64, stored: Stored },
}

/// What the database has under the number of a published one.
#[derive(Clone, Copy)]
enum Stored {
    /// Nothing.
    Nothing,
    /// Nothing, nor under any later number; the newest is this one.
    Ended { newest: u64 },
    /// Another note.
    Other { size: u64, root: Hash },
}

impl Outside {
    fn add(&mut self, size: u64, witness: Witness) {
        self.due.insert((size, self.added), witness);
        self.added += 1;
    }

    /// The size of the tree at which the next is compared.
    pub fn next(&self) -> Option<u64> {
        self.due.first_key_value().map(|((size, _), _)| *size)
    }

    fn pop_up_to(&mut self, size: u64) -> Option<(u64, Witness)> {
        let next = self.due.first_entry().filter(|next| next.key().0 <= size)?;
        let ((size, _), witness) = next.remove_entry();
        Some((size, witness))
    }
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::Kept(file) => format!("the checkpoint in {file}"),
            Self::LastSigned(file) => format!("the sealer's last checkpoint, in {file}"),
            Self::Published { number, .. } => format!("published checkpoint {number}"),
        }
    }

    /// What is to be said of the database beside what is said of the tree.
    fn beside(&self) -> String {
        match self {
            Self::Kept(_) | Self::LastSigned(_) => String::new(),
            Self::Published { number, stored } => format!("; {}", stored.told(*number)),
        }
    }
}

impl Stored {
    fn told(self, number: u64) -> String {
        match self {
            Self::Nothing => format!("the database has no checkpoint {number}"),
            Self::Ended { newest } => format!("the database has no checkpoint {number}, {}", lost(newest)),
            Self::Other { size, root } => {
                format!("checkpoint {number} in the database is another note, over {size} events with the root {root}")
            }
        }
    }
}

/// What can have become of checkpoints behind the newest.
fn lost(newest: u64) -> String {
    let ends = if newest == 0 { "nor any other".to_owned() } else { format!("its newest is {newest}") };
    format!(
        "{ends}: it was restored from a backup (`boxoffice restore-check` says what it lost), or its seals were removed"
    )
}

impl SealCheck {
    /// Believes these keys too, when it is about what was published or left by the sealer; whoever rewrote the database may have
    /// removed them there.
    pub fn believe(&mut self, keys: &[VerifierKey]) {
        for key in keys {
            if !self.believed.contains(key) {
                self.believed.push(key.clone());
            }
        }
    }

    /// Also checks a checkpoint that was kept outside, called `name` in what is said of it. Its signature must be by one of
    /// `trusted`; where that is empty, by a key of the database, which who rewrote the database could have put there.
    pub fn also(&mut self, name: &str, note: &str, trusted: &[VerifierKey]) {
        self.verdict.outside += 1;
        let keys = if trusted.is_empty() { &self.keys } else { trusted };
        let source = Source::Kept(name.to_owned());
        match self.read_outside(note, keys) {
            Ok(Checkpoint { size, root, .. }) => self.outside.add(size, Witness { source, root }),
            Err((expected, found)) => self.breach(source.name(), None, expected, found),
        }
    }

    /// Also checks the checkpoint that the sealer signed last and keeps in `file`, beside its key. The database must have signed
    /// at least as much.
    pub fn also_last_signed(&mut self, file: &str, note: &str) {
        let source = Source::LastSigned(file.to_owned());
        match self.read_outside(note, &self.believed) {
            Ok(Checkpoint { size, root, .. }) => {
                self.verdict.last_signed = Some(size);
                if size > self.verdict.sealed {
                    let newest = self.newest.as_ref().map_or(0, |newest| newest.number);
                    let found = format!("one of {}, {}", self.verdict.sealed, lost(newest));
                    self.breach(
                        source.name(),
                        Some(size),
                        format!("a checkpoint in the database of at least {size} events"),
                        found,
                    );
                }
                self.outside.add(size, Witness { source, root });
            }
            Err((expected, found)) => self.breach(source.name(), None, expected, found),
        }
    }

    /// Also checks what was published, in the order of the numbers. All of it must have been published before [`SealCheck::begin`].
    /// One that is as the database has it is checked with that; any other is a breach.
    pub async fn also_published(
        &mut self,
        connection: &mut PgConnection,
        notes: &[(u64, String)],
    ) -> Result<(), SealError> {
        for notes in notes.chunks(PUBLISHED_ROWS_MAX) {
            let stored = rows::numbered(connection, notes.iter().map(|(number, _)| *number)).await?;
            for (number, note) in notes {
                self.published_up_to(number.saturating_sub(1));
                self.verdict.published += 1;
                self.published_to = Some(*number);
                let stored = match stored.get(number) {
                    Some(stored) if stored.note == *note => continue,
                    Some(stored) => Stored::Other { size: stored.size, root: stored.root },
                    None => match self.newest.as_ref().map_or(0, |newest| newest.number) {
                        newest if newest < *number => Stored::Ended { newest },
                        _ => Stored::Nothing,
                    },
                };
                self.differs(*number, note, stored);
            }
        }
        Ok(())
    }

    /// Nothing more was published: this number was the last, and what is there ends with it.
    pub fn published_end(&mut self, last: u64) {
        match self.published_to {
            Some(_) => self.published_up_to(last),
            None if last > 0 => self.deleted(1, last),
            None => {}
        }
    }

    /// Up to this number none may be missing but the oldest, which the limits of a stream may drop.
    fn published_up_to(&mut self, last: u64) {
        if let Some(to) = self.published_to.filter(|to| *to < last) {
            self.deleted(to + 1, last);
        }
    }

    fn deleted(&mut self, first: u64, last: u64) {
        let what = if first == last {
            format!("published checkpoint {last}")
        } else {
            format!("published checkpoints {first} to {last}")
        };
        self.breach(what, None, "to be in the stream", "nothing: it was deleted there");
    }

    fn differs(&mut self, number: u64, note: &str, stored: Stored) {
        let source = Source::Published { number, stored };
        match self.read_outside(note, &self.believed) {
            Ok(Checkpoint { size, root, .. }) if self.outside.due.len() < DIFFERING_MAX => {
                self.outside.add(size, Witness { source, root });
            }
            Ok(Checkpoint { size, root, .. }) => {
                self.breach(source.name(), Some(size), same(root), stored.told(number));
            }
            Err((expected, found)) => {
                let size = Checkpoint::read_unverified(note).ok().map(|checkpoint| checkpoint.size);
                self.breach(source.name(), size, expected, format!("{found}{}", source.beside()));
            }
        }
    }

    /// What a note says, or what was expected of it and what is there.
    fn read_outside(&self, note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, (String, String)> {
        match Checkpoint::verify(note, keys) {
            Ok(checkpoint) if checkpoint.origin == self.origin => Ok(checkpoint),
            Ok(checkpoint) => {
                Err((format!("one of the log {}", self.origin), format!("one of the log {}", checkpoint.origin)))
            }
            Err(error) => Err(("a signed checkpoint".to_owned(), error.to_string())),
        }
    }

    /// Compares the tree with those of just its size.
    pub(super) fn compare_outside(&mut self, root: &mut Option<Hash>) {
        while let Some((size, Witness { source, root: expected })) = self.outside.pop_up_to(self.tree.size()) {
            let found = *root.get_or_insert_with(|| self.tree.root());
            if found != expected {
                let changed = "an event up to here was changed, removed or put in since";
                let found = format!("the root {found}: {changed}{}", source.beside());
                self.breach(source.name(), Some(size), format!("the root {expected}"), found);
            } else if let Source::Published { number, stored } = &source {
                let found =
                    format!("{}; the events up to here are those that it was signed over", stored.told(*number));
                self.breach(source.name(), Some(size), same(expected), found);
            }
        }
    }

    /// Those that the tree did not come to, as the log is shorter.
    pub(super) fn outside_left(&mut self) {
        let leaves = self.tree.size();
        while let Some((size, Witness { source, .. })) = self.outside.pop_up_to(u64::MAX) {
            let found = format!("a log of {leaves}{}", source.beside());
            self.breach(source.name(), Some(size), format!("a log of at least {size} events"), found);
        }
    }

    fn breach(&mut self, what: String, size: Option<u64>, expected: impl Into<String>, found: impl Into<String>) {
        let (expected, found) = (expected.into(), found.into());
        self.verdict.breach(Breach { what, size, position: None, expected, found });
    }
}

/// What was expected of the database.
fn same(root: Hash) -> String {
    format!("the same note in the database, with the root {root}")
}
