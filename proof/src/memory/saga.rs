//! The saga in memory: [`aggregates::saga::react`] over the log, in batches, each with the checkpoint behind it.

use std::error::Error;

use aggregates::{
    Booking, Concert, Payment,
    saga::{Command, booking_of, react},
};

use super::{
    draft::{CheckpointMove, Draft},
    fate::Gate,
    log::{Entry, Refusal},
    world::{Mutation, World, Written},
};
use crate::Breach;

/// The saga's checkpoint.
pub(super) const SAGA: &str = "saga";

/// The saga in a process.
#[derive(Debug, Default)]
pub(super) struct Seat {
    at: u64,
    /// Decided, but not written yet.
    draft: Option<Draft>,
}

impl Seat {
    pub const fn at(at: u64) -> Self {
        Self { at, draft: None }
    }

    pub fn forget(&mut self) {
        self.draft = None;
    }
}

impl World {
    /// The process's saga decides a batch, or writes what it has decided. Returns whether there was anything to do.
    pub(super) fn saga(&mut self, p: usize) -> Result<bool, Breach> {
        match self.processes[p].saga.draft.take() {
            None => Ok(self.saga_decides(p)),
            Some(draft) => self.saga_writes(p, &draft).map(|()| true),
        }
    }

    fn saga_decides(&mut self, p: usize) -> bool {
        let at = self.processes[p].saga.at;
        let events: Vec<Entry> = self.log.after(at, self.processes[p].seen, self.batch).to_vec();
        if events.is_empty() {
            return false;
        }
        let mut draft = Draft::default();
        for (entry, position) in events.iter().zip(at + 1..) {
            let Some(booking) = booking_of(&entry.event) else { continue };
            let booking = match self.mutation {
                Mutation::OldBooking => self.log.state_at::<Booking>(booking.0, position).0,
                _ => self.stage::<Booking>(p, &mut draft, booking.0),
            };
            for command in react(&entry.event, &booking, self.now) {
                self.stage_command(p, &mut draft, command, position);
            }
        }
        if self.mutation == Mutation::EffectIsLost && self.dice.falls(50) {
            draft = Draft::default();
        }
        let to = at + events.len() as u64;
        let from = at;
        if self.mutation != Mutation::CheckpointStays {
            draft.checkpoint = Some(CheckpointMove { name: SAGA, from, to });
        }
        self.processes[p].saga.draft = Some(draft);
        true
    }

    fn stage_command(&mut self, p: usize, draft: &mut Draft, command: Command, cause: u64) {
        fn words(refusal: impl Error) -> String {
            refusal.to_string()
        }
        let what = format!("{command:?}");
        let outcome = match command {
            Command::Concert(id, command) => {
                self.stage::<Concert>(p, draft, id.0);
                draft.decide::<Concert>(id.0, command, Some(cause)).map_err(words)
            }
            Command::Booking(id, command) => {
                self.stage::<Booking>(p, draft, id.0);
                draft.decide::<Booking>(id.0, command, Some(cause)).map_err(words)
            }
            Command::Payment(id, command) => {
                self.stage::<Payment>(p, draft, id.0);
                draft.decide::<Payment>(id.0, command, Some(cause)).map_err(words)
            }
        };
        if let Err(refusal) = outcome {
            draft.refused = Some(format!("the saga's own {what} is refused: {refusal}"));
        }
    }

    fn saga_writes(&mut self, p: usize, draft: &Draft) -> Result<(), Breach> {
        match self.write(p, Gate::Saga, draft)? {
            // One that lags far behind may be refused, but it must not get through with that.
            Written::Done { .. } if draft.refused.is_some() => {
                return Err(Breach::at(self.log.head(), draft.refused.clone().unwrap_or_default()));
            }
            Written::Done { .. } => {
                let seat = &mut self.processes[p].saga;
                seat.at = draft.checkpoint.map_or(seat.at, |step| step.to);
            }
            // Somebody else was first with one of the aggregates: decided again.
            Written::Refused(Refusal::Conflict) => {
                self.saga_decides(p);
            }
            Written::Refused(Refusal::CheckpointMoved) | Written::Failed => self.saga_resumes(p),
            Written::Died => {}
        }
        Ok(())
    }

    /// From the checkpoint, and not before everything that was written with it has been seen.
    pub(super) fn saga_resumes(&mut self, p: usize) {
        if self.mutation != Mutation::BlindSuccessor {
            self.processes[p].seen = self.log.head();
        }
        self.processes[p].saga = Seat::at(self.log.checkpoint(SAGA));
    }
}

#[cfg(test)]
mod tests {
    use aggregates::{Payment, Qty, booking::CancelReason};

    use super::*;
    use crate::memory::fate::Fates;

    /// A saga is about to bill a booking when that is cancelled, and is succeeded by another one right after, in a process
    /// that knows of the cancellation but has not seen the bill yet. Random schedules come to this once in a few thousand.
    fn succeeded(mutation: Mutation) -> Result<(), Breach> {
        let mut world = World::new(0, Fates::Kind, mutation);
        let concert = world.open_concert(0, 2, 60)?;
        let fan = world.fan(concert, Qty::new(1).map_err(|error| Breach::in_the_end(error.to_string()))?);
        world.book(0, &fan)?;
        for _ in 0..2 {
            world.observe(0);
            world.saga(0)?;
        }
        // The first knows that the tickets are held, and has decided. The second looks up the payment: there is none.
        world.observe(0);
        world.saga(0)?;
        world.observe(1);
        world.lags = 1_000;
        assert_eq!(world.look::<Payment>(1, fan.payment().0).0.status(), None);
        world.call_off(1, &fan, CancelReason::ByFan)?;
        world.processes[1].seen = world.log.head();
        world.saga(0)?;
        world.elect_another();
        for _ in 0..2 {
            world.saga(1)?;
        }
        world.settle()
    }

    #[test]
    fn a_saga_that_takes_over_has_to_see_first_what_the_last_one_wrote() {
        assert_eq!(succeeded(Mutation::None), Ok(()));
        let breach = succeeded(Mutation::BlindSuccessor).map_err(|breach| breach.to_string());
        assert!(breach.as_ref().is_err_and(|what| what.contains("its tickets are Held")), "{breach:?}");
    }
}
