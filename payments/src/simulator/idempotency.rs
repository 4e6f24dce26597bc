//! The first answer to each idempotency key, told again to whoever repeats it.
//!
//! Source: `https://docs.tosspayments.com/guides/using-api/idempotency-key`. The service goes by key, secret key, method
//! and path, not by body; secret keys are not told apart here.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{answer::Refusal, record::Record};

/// How many answers are kept, the oldest being forgotten first; the service keeps them for 15 days.
pub const ANSWERS_MAX: usize = 500_000;

/// What a call was answered with.
pub(super) type Answer = Result<Record, Refusal>;

#[derive(Default)]
pub(super) struct Answers {
    first: HashMap<Arc<str>, Answer>,
    /// Names of answers, oldest first.
    age: VecDeque<Arc<str>>,
}

impl Answers {
    pub fn get(&self, name: &str) -> Option<&Answer> {
        self.first.get(name)
    }

    /// Remembers the first answer under `name`.
    pub fn keep(&mut self, name: Arc<str>, answer: Answer) {
        self.first.insert(name.clone(), answer);
        self.age.push_back(name);
        if self.age.len() > ANSWERS_MAX
            && let Some(oldest) = self.age.pop_front()
        {
            self.first.remove(&oldest);
        }
    }

    /// All of them, oldest first.
    pub fn in_order(&self) -> impl Iterator<Item = (Arc<str>, Answer)> {
        self.age.iter().filter_map(|name| Some((name.clone(), self.first.get(name)?.clone())))
    }
}
