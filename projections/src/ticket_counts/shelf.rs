//! The newest concerts in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use aggregates::ConcertId;
use journal::Position;

use super::ConcertView;

/// Concerts kept in memory, the newest; reads of older ones go to Postgres. About a kilobyte each.
pub const CONCERTS_KEPT_MAX: usize = 20_000;

/// Without a gap, the concerts registered last.
#[derive(Default)]
pub(super) struct Shelf {
    by_id: HashMap<ConcertId, Arc<ConcertView>>,
    by_registration: BTreeMap<Position, ConcertId>,
    /// Older concerts than these were left out.
    has_older: bool,
    kept_max: usize,
}

/// What memory knows of a concert.
pub(super) enum Found {
    /// This.
    Concert(Arc<ConcertView>),
    /// That there is none.
    Nothing,
    /// Nothing: it may be older.
    Unknown,
}

impl Shelf {
    pub fn new(kept_max: usize) -> Self {
        Self { kept_max, ..Self::default() }
    }

    /// How many it keeps.
    pub const fn kept_max(&self) -> usize {
        self.kept_max
    }

    /// A concert that is on it.
    pub fn view(&self, id: ConcertId) -> Option<Arc<ConcertView>> {
        self.by_id.get(&id).cloned()
    }

    pub fn get(&self, id: ConcertId) -> Found {
        match self.by_id.get(&id) {
            Some(view) => Found::Concert(Arc::clone(view)),
            None if self.has_older => Found::Unknown,
            None => Found::Nothing,
        }
    }

    /// Concerts registered before `before`, newest first; and whether that is all there is to find, up to `max`.
    pub fn newest(&self, before: Position, max: usize) -> (Vec<Arc<ConcertView>>, bool) {
        let ids = self.by_registration.range(..before).rev().take(max);
        let views: Vec<_> = ids.filter_map(|(_, id)| self.by_id.get(id).cloned()).collect();
        let complete = views.len() == max || !self.has_older;
        (views, complete)
    }

    /// Takes in rows as read.
    pub fn extend(&mut self, views: &[Arc<ConcertView>]) {
        for view in views {
            self.put(Arc::clone(view));
        }
    }

    /// Takes in a row as read, unless a newer one is known.
    pub fn put(&mut self, view: Arc<ConcertView>) {
        let oldest = self.by_registration.keys().next().copied();
        let known = self.by_id.get(&view.id);
        if known.is_some_and(|known| known.position >= view.position) {
            return;
        }
        if known.is_none() && self.has_older && oldest.is_none_or(|oldest| view.registered_position < oldest) {
            return;
        }
        self.by_registration.insert(view.registered_position, view.id);
        self.by_id.insert(view.id, view);
        while self.by_id.len() > self.kept_max {
            let Some((_, id)) = self.by_registration.pop_first() else { break };
            self.by_id.remove(&id);
            self.has_older = true;
        }
    }
}
