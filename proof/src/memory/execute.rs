//! One command to one aggregate, as the journal executes it: decided on what the process knows, and again on what is
//! there if somebody else was first.

use uuid::Uuid;

use super::{
    draft::{Draft, Drafted},
    fate::Gate,
    world::{World, Written},
};
use crate::Breach;

/// What whoever gives a command is told.
#[derive(Debug)]
pub(super) enum Executed<A: Drafted> {
    /// The state after it, and whether it had an effect.
    Done { state: A, changed: bool },
    /// The aggregate refuses.
    Refused(A::Error),
    /// Nobody knows what became of it, or there is no journal.
    Failed,
    /// Whoever gave it is dead.
    Died,
}

impl World {
    pub(super) fn execute<A: Drafted>(
        &mut self,
        p: usize,
        gate: Gate,
        id: Uuid,
        command: A::Command,
    ) -> Result<Executed<A>, Breach> {
        loop {
            let mut draft = Draft::default();
            let before = self.stage::<A>(p, &mut draft, id);
            match draft.decide::<A>(id, command.clone(), None) {
                Err(refusal) => return Ok(Executed::Refused(refusal)),
                Ok(false) => return Ok(Executed::Done { state: before, changed: false }),
                Ok(true) => {}
            }
            match self.write(p, gate, &draft)? {
                // Somebody else was first, and the process has seen that now.
                Written::Refused(_) => {}
                // Whoever gave it gives it again, and hears what comes of that.
                Written::Done { repeats: true } => return self.execute(p, gate, id, command),
                Written::Done { repeats: false } => {
                    return Ok(Executed::Done { state: self.stage::<A>(p, &mut draft, id), changed: true });
                }
                Written::Failed => return Ok(Executed::Failed),
                Written::Died => return Ok(Executed::Died),
            }
        }
    }
}
