//! One cached aggregate: its newest state, committed or on its way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{Sequence, Ticket, append::BuiltOn};

/// What can be known of a slot without its lock.
#[derive(Default)]
pub(super) struct Shared {
    /// Moves on when the state in the slot turned out wrong; whatever was built on it fails.
    generation: Arc<AtomicU64>,
    /// Sequence of the newest event in the slot's state, appended or on its way.
    sequence: AtomicU64,
}

impl Shared {
    /// Sequence of the newest event in the slot's state; 0 where there is no state.
    pub fn sequence(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::Relaxed))
    }

    /// An event with this sequence exists; a state without it is outdated.
    pub fn observe(&self, sequence: Sequence) {
        let generation = self.generation.load(Ordering::Acquire);
        if self.sequence.load(Ordering::Acquire) < sequence.0 {
            BuiltOn { generation: Arc::clone(&self.generation), expected: generation }.invalidate();
        }
    }
}

/// The newest state of an aggregate.
#[derive(Clone)]
pub(crate) struct Head<A> {
    pub state: A,
    pub sequence: Sequence,
    /// The unit that brought it here, while it may still fail.
    pub pending: Option<Ticket>,
    /// Sequence of the newest snapshot that was taken or is due.
    pub snapshot: Sequence,
    /// The generation of the slot in which this state is right.
    generation: u64,
}

impl<A: Default> Head<A> {
    /// A state in the slot's present generation, as read from the log.
    pub fn new(state: A, sequence: Sequence, snapshot: Sequence, generation: u64) -> Self {
        Self { state, sequence, pending: None, snapshot, generation }
    }
}

/// A cached aggregate. Whoever decides on it holds its lock from reading the state to enqueueing the events, so the
/// queue has them in order; not until they are committed.
#[derive(Default)]
pub(crate) struct Slot<A> {
    shared: Arc<Shared>,
    head: Arc<Mutex<Option<Head<A>>>>,
}

impl<A> Slot<A> {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub async fn lock(&self) -> SlotGuard<A> {
        SlotGuard { shared: Arc::clone(&self.shared), head: Arc::clone(&self.head).lock_owned().await }
    }
}

/// A locked slot.
pub(crate) struct SlotGuard<A> {
    shared: Arc<Shared>,
    head: OwnedMutexGuard<Option<Head<A>>>,
}

impl<A> SlotGuard<A> {
    /// The state, if there is one and nothing it was built on failed.
    pub fn current(&mut self) -> Option<&Head<A>> {
        let generation = self.generation();
        if self.head.as_ref().is_some_and(|head| head.generation != generation) {
            *self.head = None;
        }
        if self.head.is_none() {
            // From here on whatever is appended elsewhere is news to the state that is about to be read.
            self.shared.sequence.store(0, Ordering::Release);
        }
        self.head.as_ref()
    }

    /// The slot's generation now. A state must be read after this was asked, to be right in it.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    pub fn set(&mut self, head: Head<A>) {
        self.shared.sequence.store(head.sequence.0, Ordering::Release);
        *self.head = Some(head);
    }

    /// Names the state that a unit is built on.
    pub fn built_on(&self, head: &Head<A>) -> BuiltOn {
        BuiltOn { generation: Arc::clone(&self.shared.generation), expected: head.generation }
    }
}
