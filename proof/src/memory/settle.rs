//! In the end nothing fails any more, and everything that was begun comes to its end.

use chrono::{DateTime, Utc};

use super::{fate::Fates, saga::SAGA, world::World};
use crate::Breach;

/// How often something can still be to do, at most. Refunds alone are tried a few dozen times.
const ROUNDS_MAX: usize = 5_000;

impl World {
    /// Lets everything settle, and checks the log and the provider's books.
    pub(super) fn settle(&mut self) -> Result<(), Breach> {
        self.tell(|_| "nothing fails any more".to_owned());
        self.lags = 0;
        match self.fates {
            Fates::Odds { .. } => self.fates = Fates::Kind,
            // What befalls one step alone may befall one of these.
            Fates::Kind | Fates::Once { .. } => {}
        }
        for p in (0..self.processes.len()).filter(|p| *p != self.elected).collect::<Vec<_>>() {
            self.retire(p);
        }
        for _ in 0..ROUNDS_MAX {
            let arrived = self.arrivals()?;
            if self.calm()? || arrived {
                continue;
            }
            match self.next_due() {
                Some(at) => self.now = self.now.max(at),
                None => return self.check(),
            }
        }
        Err(Breach::in_the_end(format!("it never settles: {:?} is still due", self.table)))
    }

    /// Everybody does what there is to do now. Returns whether there was anything.
    pub(super) fn calm(&mut self) -> Result<bool, Breach> {
        let mut any = false;
        for _ in 0..ROUNDS_MAX {
            let mut moved = self.office_hours(self.elected)?;
            for p in 0..self.processes.len() {
                moved |= self.observe(p);
                moved |= self.somebody_gets_on(p)?;
            }
            if !moved {
                return Ok(any);
            }
            any = true;
        }
        Err(Breach::in_the_end("there is always something to do"))
    }

    /// The offices of a process do a step each. Returns whether there was anything to do.
    pub(super) fn office_hours(&mut self, p: usize) -> Result<bool, Breach> {
        let mut moved = self.observe(p);
        moved |= self.saga(p)?;
        moved |= self.deadlines(p)?;
        moved |= self.cancellations(p)?;
        moved |= self.note(p)?;
        moved |= self.attend_to_some(p)?;
        Ok(moved)
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        let work = self.table.values().map(|row| row.due_at);
        let arrivals = self.wire.iter().map(|late| late.by);
        // One who has lost the office without noticing it does nothing about what it knows.
        let deadlines = self.processes[self.elected].deadlines.iter();
        let holds = deadlines.filter_map(|deadlines| deadlines.due.first()).map(|(at, _)| *at);
        let letters = self.inbox.values().filter(|letter| !letter.heeded).map(|letter| letter.due_at);
        work.chain(arrivals).chain(holds).chain(letters).min()
    }

    fn check(&self) -> Result<(), Breach> {
        self.log.checker.settled(self.bank.moved())?;
        let (saga, head) = (self.log.checkpoint(SAGA), self.log.head());
        if saga != head {
            return Err(Breach::in_the_end(format!("the saga has come to {saga} of {head}")));
        }
        Ok(())
    }
}
