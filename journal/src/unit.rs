//! A unit of work: several commands to several aggregates, appended as one with an optional checkpoint.

use std::{
    any::Any,
    collections::{BTreeSet, HashMap},
};

use aggregates::{AggregateType, Decide};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::{
    AppendError, CheckpointMove, ExecuteError, Journal, Metadata, ReadError, Sequence, Ticket,
    append::Append,
    cache::{Head, SlotGuard},
    execute::{Expect, note_snapshot},
    journal::Inner,
    load::{has_snapshots, load_many},
};

/// Aggregates locked by this unit, with what it has made of them so far. Dropped without [`UnitOfWork::enqueue`], it
/// leaves no trace.
pub struct UnitOfWork {
    journal: Journal,
    append: Append,
    staged: HashMap<(AggregateType, Uuid), Box<dyn Staged>>,
    _several: OwnedMutexGuard<()>,
}

/// A locked aggregate in a unit, whatever its type.
trait Staged: Send {
    /// Makes the staged state the newest one.
    fn install(self: Box<Self>, ticket: &Ticket);
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

struct Stage<A> {
    slot: SlotGuard<A>,
    head: Head<A>,
    id: Uuid,
    changed: bool,
}

impl<A: Decide> Staged for Stage<A> {
    fn install(mut self: Box<Self>, ticket: &Ticket) {
        if self.changed {
            self.head.pending = Some(ticket.clone());
            self.slot.set(self.head);
        }
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Journal {
    /// Begins a unit of work. One at a time: the next begins when this one is enqueued or dropped.
    pub async fn unit(&self) -> UnitOfWork {
        let several = std::sync::Arc::clone(&self.inner.several).lock_owned().await;
        UnitOfWork { journal: self.clone(), append: Append::new(), staged: HashMap::new(), _several: several }
    }
}

impl UnitOfWork {
    /// The state of an aggregate in this unit; reading locks it until the unit ends.
    pub async fn state<A: Decide>(&mut self, id: Uuid) -> Result<&A, ReadError> {
        Ok(&self.stage::<A>(id, Expect::Any).await?.head.state)
    }

    /// Locks and reads many aggregates at once, so that the commands that follow need not ask Postgres one by one.
    /// Aggregates that have snapshots are left to be read when they are needed.
    pub async fn prepare<A: Decide>(&mut self, ids: &[Uuid]) -> Result<(), ReadError> {
        if has_snapshots(A::KIND) {
            return Ok(());
        }
        let mut unread = Vec::new();
        for id in ids.iter().copied().collect::<BTreeSet<_>>() {
            if self.staged.contains_key(&(A::KIND, id)) {
                continue;
            }
            let mut slot = self.journal.inner.cache.slot::<A>(id).lock().await;
            match slot.current().cloned() {
                Some(head) => self.keep(slot, head, id),
                None => unread.push((id, slot)),
            }
        }
        // The slots are locked and know that they are empty: whatever is appended elsewhere from now on is news to them.
        let missing: Vec<Uuid> = unread.iter().map(|(id, _)| *id).collect();
        let Inner { pool, upcasters, .. } = &*self.journal.inner;
        let generations: Vec<u64> = unread.iter().map(|(_, slot)| slot.generation()).collect();
        let mut loaded =
            if missing.is_empty() { HashMap::new() } else { load_many::<A>(pool, upcasters, &missing).await? };
        for ((id, mut slot), generation) in unread.into_iter().zip(generations) {
            let (state, sequence) =
                loaded.remove(&id).map_or((A::default(), Sequence(0)), |known| (known.state, known.sequence));
            let head = Head::new(state, sequence, Sequence(0), generation);
            slot.set(head.clone());
            self.keep(slot, head, id);
        }
        Ok(())
    }

    /// Decides `command` on the aggregate's state in this unit, and stages its events. Returns whether there are any.
    pub async fn execute<A: Decide>(
        &mut self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
    ) -> Result<bool, ExecuteError<A::Error>> {
        self.run::<A>(id, command, metadata, Expect::Any).await
    }

    /// Like [`UnitOfWork::execute`], for an aggregate that should not exist yet. Should it exist after all, the unit
    /// conflicts; decide it again with [`UnitOfWork::execute`].
    pub async fn execute_new<A: Decide>(
        &mut self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
    ) -> Result<bool, ExecuteError<A::Error>> {
        self.run::<A>(id, command, metadata, Expect::New).await
    }

    /// Events staged so far.
    pub fn events(&self) -> usize {
        self.append.events.len()
    }

    /// Queues all of it as one. It is appended only if every state it has looked at holds, also one that was still on its
    /// way; so a unit without events is a way to learn that what was seen is durable. The aggregates are free for others at once; the ticket tells when it is durable.
    pub async fn enqueue(mut self, checkpoint: Option<CheckpointMove>) -> Result<Ticket, AppendError> {
        self.append.checkpoint = checkpoint;
        let staged = self.staged;
        self.journal.enqueue(self.append, |ticket| staged.into_values().for_each(|stage| stage.install(&ticket))).await
    }

    async fn run<A: Decide>(
        &mut self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
        expect: Expect,
    ) -> Result<bool, ExecuteError<A::Error>> {
        self.stage::<A>(id, expect).await?;
        let Self { append, staged, .. } = self;
        let stage = staged_as::<A>(staged, id);
        let events = stage.head.state.decide(command).map_err(ExecuteError::Refused)?;
        if events.is_empty() {
            return Ok(false);
        }
        if !stage.changed {
            append.built_on.push(stage.slot.built_on(&stage.head));
            stage.changed = true;
        }
        stage.head.sequence = append.push::<A>((A::KIND, id, stage.head.sequence), &events, metadata);
        for event in events {
            stage.head.state.apply(event);
        }
        note_snapshot::<A>(append, &mut stage.head, stage.id);
        Ok(true)
    }

    async fn stage<A: Decide>(&mut self, id: Uuid, expect: Expect) -> Result<&mut Stage<A>, ReadError> {
        let key = (A::KIND, id);
        if !self.staged.contains_key(&key) {
            let mut slot = self.journal.inner.cache.slot::<A>(id).lock().await;
            let head = self.journal.head(&mut slot, id, expect).await?;
            self.keep(slot, head, id);
        }
        Ok(staged_as::<A>(&mut self.staged, id))
    }

    fn keep<A: Decide>(&mut self, slot: SlotGuard<A>, head: Head<A>, id: Uuid) {
        self.append.decided_on.push(slot.built_on(&head));
        self.staged.insert((A::KIND, id), Box::new(Stage { slot, head, id, changed: false }));
    }
}

fn staged_as<A: Decide>(staged: &mut HashMap<(AggregateType, Uuid), Box<dyn Staged>>, id: Uuid) -> &mut Stage<A> {
    staged
        .get_mut(&(A::KIND, id))
        .and_then(|stage| stage.as_any_mut().downcast_mut())
        .unwrap_or_else(|| unreachable!("{} {id} was staged, and the key holds the type", A::KIND))
}
