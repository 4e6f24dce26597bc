//! A process: what it has seen of the log, and the tasks that die with it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    attending::{Attending, NOTES},
    cancellations::Cancellations,
    deadlines::Deadlines,
    draft::{Draft, Drafted},
    log::{Kept, Key},
    paying::Paying,
    saga::{SAGA, Seat},
    world::World,
};

/// One process.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// What it knows of the log: everything up to here has reached it, whoever wrote it.
    pub seen: u64,
    /// What it knows of single aggregates beyond that, having read or written them.
    known: BTreeMap<Key, u64>,
    pub saga: Seat,
    pub deadlines: Option<Deadlines>,
    pub cancellations: Option<Cancellations>,
    /// How far it has noted what is due.
    pub notes: u64,
    pub attending: Vec<Attending>,
    pub paying: Vec<Paying>,
}

impl World {
    /// The process dies with all that it was doing, and starts anew.
    pub(super) fn crash(&mut self, p: usize) {
        self.tell(|_| format!("process {p} crashes"));
        let saga = Seat::at(self.log.checkpoint(SAGA));
        let notes = self.log.checkpoint(NOTES);
        self.processes[p] = Process { seen: self.log.head(), saga, notes, ..Process::default() };
        if self.elected == p {
            self.elect_another();
        }
    }

    /// The lease goes to another process. The one that had it may be dead, or may not have noticed yet.
    pub(super) fn elect_another(&mut self) {
        self.elected = (self.elected + 1) % self.processes.len();
        self.tell(|world| format!("process {} is elected", world.elected));
        self.retire(self.elected);
        self.saga_resumes(self.elected);
        self.processes[self.elected].notes = self.log.checkpoint(NOTES);
    }

    /// The process notices that it has lost its offices.
    pub(super) fn retire(&mut self, p: usize) {
        let process = &mut self.processes[p];
        (process.deadlines, process.cancellations) = (None, None);
        process.saga.forget();
        process.attending.clear();
    }

    /// What was written reaches the process, all of it or some.
    pub(super) fn observe(&mut self, p: usize) -> bool {
        let (seen, head) = (self.processes[p].seen, self.log.head());
        let some = self.lags > 0 && self.dice.falls(self.lags);
        let until = if some { seen + self.dice.below(head - seen + 1) } else { head };
        self.processes[p].seen = until;
        until > seen
    }

    /// An aggregate and its sequence, as the process knows it: it may lag behind, but never behind itself.
    pub(super) fn look<A: Kept>(&mut self, p: usize, id: Uuid) -> (A, u64) {
        let head = self.log.head();
        let lags = self.lags > 0 && self.dice.falls(self.lags);
        let process = &mut self.processes[p];
        let known = process.known.entry((A::KIND, id)).or_insert(0);
        *known = if lags { process.seen.max(*known) } else { head };
        let position = *known;
        let (state, sequence, _) = self.log.state_at(id, position);
        (state, sequence)
    }

    /// Its own events are known to the process at once.
    pub(super) fn see_own(&mut self, p: usize, draft: &Draft) {
        let head = self.log.head();
        for (key, _) in draft.changed() {
            self.processes[p].known.insert(key, head);
        }
    }

    /// After a conflict, the aggregates concerned are read again.
    pub(super) fn see_conflict(&mut self, p: usize, draft: &Draft) {
        self.see_own(p, draft);
    }

    /// Takes an aggregate into a draft, unless it is in there.
    pub(super) fn stage<A: Drafted>(&mut self, p: usize, draft: &mut Draft, id: Uuid) -> A {
        if let Some(state) = draft.get::<A>(id) {
            return state.clone();
        }
        let (state, sequence) = self.look::<A>(p, id);
        draft.put(id, state.clone(), sequence);
        state
    }
}
