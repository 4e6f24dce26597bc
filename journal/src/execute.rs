//! One command to one aggregate.

use std::sync::Arc;

use aggregates::Decide;
use uuid::Uuid;

use crate::{
    AppendError, Attachment, Committed, ExecuteError, Journal, Loaded, Metadata, Position, ReadError, Ticket,
    append::Append,
    cache::{Head, SlotGuard},
    load::load,
    snapshot,
    writer::{QUEUE_WAIT_MAX, Queued, promise},
};

/// How often a command decides again after another writer was first, before its caller is told.
const CONFLICT_RETRIES_MAX: usize = 8;

/// What a command has led to, durably.
#[derive(Clone, Debug)]
pub struct Executed<A> {
    /// The aggregate's state after it.
    pub state: A,
    /// Position of its last event; where it had no effect, a position by which the state was committed.
    pub position: Position,
    /// Whether it had an effect.
    pub changed: bool,
}

/// Whether the aggregate may exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It may: read it if it is not cached.
    Any,
    /// Its id is new: no need to read. Should it exist after all, the append conflicts and is decided again.
    New,
}

impl Journal {
    /// Runs `command` on the aggregate `id` and returns once its events are durable. A command that has no effect, or
    /// is refused, is answered once the state it was decided on is durable.
    pub async fn execute<A: Decide>(
        &self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        self.run(id, command, metadata, Expect::Any, None).await
    }

    /// Like [`Journal::execute`], for an aggregate whose id was just made: saves the look whether it exists.
    pub async fn execute_new<A: Decide>(
        &self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        self.run(id, command, metadata, Expect::New, None).await
    }

    /// Like [`Journal::execute`], with rows that commit with the events or not at all.
    pub async fn execute_with<A: Decide>(
        &self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
        attachment: Arc<dyn Attachment>,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        self.run(id, command, metadata, Expect::Any, Some(attachment)).await
    }

    /// The aggregate as its durable events have made it.
    pub async fn load<A: Decide>(&self, id: Uuid) -> Result<Loaded<A>, ReadError> {
        for _ in 0..=CONFLICT_RETRIES_MAX {
            let mut slot = self.inner.cache.slot::<A>(id).lock().await;
            let head = self.head(&mut slot, id, Expect::Any).await?;
            let Some(pending) = head.pending.filter(|ticket| !ticket.is_committed()) else {
                return Ok(Loaded { state: head.state, sequence: head.sequence, snapshot: head.snapshot });
            };
            drop(slot);
            if pending.committed().await.is_ok() {
                return Ok(Loaded { state: head.state, sequence: head.sequence, snapshot: head.snapshot });
            }
        }
        // What is in the cache fails again and again, so only the log itself can tell.
        load::<A>(&self.inner.pool, &self.inner.repository, &self.inner.upcasters, id).await
    }

    /// The aggregate as its durable events have made it, where that is in memory: Postgres is not asked, and nobody else is
    /// sent from memory for it. What another process appended a moment ago may be missing.
    pub async fn remembered<A: Decide>(&self, id: Uuid) -> Option<A> {
        let mut slot = self.inner.cache.peek::<A>(id)?.lock().await;
        let Head { state, pending, .. } = slot.current()?.clone();
        drop(slot);
        durable(pending).await.ok()?;
        Some(state)
    }

    async fn run<A: Decide>(
        &self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
        mut expect: Expect,
        attachment: Option<Arc<dyn Attachment>>,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        let mut tries = 0;
        loop {
            let outcome = self.attempt(id, command.clone(), metadata, expect, attachment.clone()).await;
            match outcome {
                Err(ExecuteError::Append(error)) if error.is_stale() && tries < CONFLICT_RETRIES_MAX => {
                    metrics::counter!("journal_conflicts_total").increment(1);
                    tries += 1;
                    expect = Expect::Any;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt<A: Decide>(
        &self,
        id: Uuid,
        command: A::Command,
        metadata: &Metadata,
        expect: Expect,
        attachment: Option<Arc<dyn Attachment>>,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        let mut slot = self.inner.cache.slot::<A>(id).lock().await;
        let head = self.head(&mut slot, id, expect).await?;
        let events = match head.state.decide(command) {
            Ok(events) if !events.is_empty() => events,
            no_effect => {
                drop(slot);
                let position = durable(head.pending).await?.max(self.position());
                return match no_effect {
                    Ok(_) => Ok(Executed { state: head.state, position, changed: false }),
                    Err(refusal) => Err(ExecuteError::Refused(refusal)),
                };
            }
        };
        let mut append = Append::new();
        append.attachment = attachment;
        append.built_on.push(slot.built_on(&head));
        let mut next = head;
        next.sequence = append.push::<A>((A::KIND, id, next.sequence), &events, metadata);
        for event in events {
            next.state.apply(event);
        }
        note_snapshot::<A>(&mut append, &mut next, id);
        let state = next.state.clone();
        let ticket = self.enqueue(append, |ticket| {
            next.pending = Some(ticket);
            slot.set(next);
            drop(slot);
        });
        let Committed { last, .. } = ticket.await?.committed().await?;
        Ok(Executed { state, position: last, changed: true })
    }

    /// The newest state in a locked slot, read if need be.
    pub(crate) async fn head<A: Decide>(
        &self,
        slot: &mut SlotGuard<A>,
        id: Uuid,
        expect: Expect,
    ) -> Result<Head<A>, ReadError> {
        if let Some(head) = slot.current() {
            return Ok(head.clone());
        }
        let generation = slot.generation();
        let loaded = match expect {
            Expect::New => return Ok(Head::new(A::default(), crate::Sequence(0), crate::Sequence(0), generation)),
            Expect::Any => load::<A>(&self.inner.pool, &self.inner.repository, &self.inner.upcasters, id).await?,
        };
        let head = Head::new(loaded.state, loaded.sequence, loaded.snapshot, generation);
        slot.set(head.clone());
        Ok(head)
    }

    /// Waits for room in the queue, then puts `append` there and `installs` its states in one step: a caller that is
    /// cancelled has done both or neither.
    pub(crate) async fn enqueue(
        &self,
        append: Append,
        install: impl FnOnce(Ticket) + Send,
    ) -> Result<Ticket, AppendError> {
        if append.events.len() > crate::append::UNIT_EVENTS_MAX {
            return Err(AppendError::TooLarge(append.events.len()));
        }
        let queue = self.inner.queue.read().clone().ok_or(AppendError::Closed)?;
        let room = match tokio::time::timeout(QUEUE_WAIT_MAX, queue.reserve()).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(AppendError::Closed),
            Err(_) => return Err(AppendError::Overloaded),
        };
        let (promise, ticket) = promise();
        install(ticket.clone());
        room.send(Queued { append, promise });
        Ok(ticket)
    }
}

/// Notes the snapshot that is due now, if one is.
pub(crate) fn note_snapshot<A: Decide>(append: &mut Append, head: &mut Head<A>, id: Uuid) {
    if let Some(due) = snapshot::due(id, &head.state, head.sequence, head.snapshot) {
        head.snapshot = head.sequence;
        append.snapshots.push(due);
    }
}

/// Waits until a state that was decided on is durable, and tells where; if it never will be, for whatever reason of
/// somebody else's, the decision must be made again.
async fn durable(pending: Option<Ticket>) -> Result<Position, AppendError> {
    match pending {
        Some(ticket) => ticket.committed().await.map(|done| done.last).map_err(|_| AppendError::Dependency),
        None => Ok(Position(0)),
    }
}
