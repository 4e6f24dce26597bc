//! Holds end at their deadline, as [`aggregates::saga::hold_verdict`] says.

use std::collections::BTreeSet;

use aggregates::{
    Booking, BookingCommand, BookingId, Concert, ConcertEvent, Event, Payment, PaymentCommand, PaymentId,
    concert::AllotmentState,
    payment::PaymentCancelReason,
    saga::{HoldVerdict, hold_verdict},
};
use chrono::{DateTime, Utc};

use super::{
    draft::Draft,
    fate::Gate,
    log::Refusal,
    world::{Mutation, World, Written},
};
use crate::Breach;

/// The deadlines that a process knows.
#[derive(Debug)]
pub(super) struct Deadlines {
    at: u64,
    pub due: BTreeSet<(DateTime<Utc>, BookingId)>,
    round: Option<Round>,
}

/// Decided, but not written yet.
#[derive(Debug)]
struct Round {
    draft: Draft,
    taken: Vec<BookingId>,
    again: Vec<(DateTime<Utc>, BookingId)>,
}

impl World {
    /// The process takes new holds in, decides what is due, or writes what it has decided.
    pub(super) fn deadlines(&mut self, p: usize) -> Result<bool, Breach> {
        let Some(mut deadlines) = self.processes[p].deadlines.take() else {
            self.processes[p].deadlines = Some(self.resume_deadlines(p));
            return Ok(true);
        };
        let outcome = match deadlines.round.take() {
            Some(round) => return self.end_round(p, deadlines, round).map(|()| true),
            None => self.take_in(p, &mut deadlines) | self.begin_round(p, &mut deadlines)?,
        };
        self.processes[p].deadlines = Some(deadlines);
        Ok(outcome)
    }

    fn resume_deadlines(&mut self, p: usize) -> Deadlines {
        let at = self.processes[p].seen;
        let concerts: Vec<_> = self.concerts().map(|terms| terms.concert_id).collect();
        let mut due = BTreeSet::new();
        for concert in concerts {
            let concert = self.look::<Concert>(p, concert.0).0;
            let held = concert.allotments().filter(|(_, allotment)| allotment.state == AllotmentState::Held);
            due.extend(
                held.map(|(booking, allotment)| (allotment.held_until.unwrap_or(DateTime::UNIX_EPOCH), booking)),
            );
        }
        Deadlines { at, due, round: None }
    }

    fn take_in(&mut self, p: usize, deadlines: &mut Deadlines) -> bool {
        let seen = self.processes[p].seen;
        for entry in self.log.after(deadlines.at, seen, usize::MAX) {
            if let Event::Concert(ConcertEvent::TicketsHeld { booking_id, expires_at, .. }) = entry.event {
                deadlines.due.insert((expires_at, booking_id));
            }
        }
        let any = deadlines.at < seen;
        deadlines.at = deadlines.at.max(seen);
        any
    }

    fn begin_round(&mut self, p: usize, deadlines: &mut Deadlines) -> Result<bool, Breach> {
        let taken: Vec<_> = deadlines.due.iter().take_while(|(at, _)| *at <= self.now).copied().collect();
        if taken.is_empty() {
            return Ok(false);
        }
        let (mut draft, mut again) = (Draft::default(), Vec::new());
        for due in &taken {
            deadlines.due.remove(due);
            let (booking_id, payment_id) = (due.1, PaymentId::of(due.1));
            let booking = self.stage::<Booking>(p, &mut draft, booking_id.0);
            let payment = self.stage::<Payment>(p, &mut draft, payment_id.0);
            let verdict = match hold_verdict(&booking, &payment, self.now) {
                HoldVerdict::NotBefore(_) if self.mutation == Mutation::NoPatience => HoldVerdict::Expire,
                verdict => verdict,
            };
            match verdict {
                HoldVerdict::Over => {}
                HoldVerdict::NotBefore(at) => again.push((at, booking_id)),
                HoldVerdict::Expire => {
                    let refused = |error: &dyn std::error::Error| Breach::at(self.log.head(), error.to_string());
                    draft
                        .decide::<Booking>(booking_id.0, BookingCommand::Expire, None)
                        .map_err(|error| refused(&error))?;
                    let cancel = PaymentCommand::Cancel { reason: PaymentCancelReason::BookingExpired };
                    draft.decide::<Payment>(payment_id.0, cancel, None).map_err(|error| refused(&error))?;
                }
            }
        }
        let taken = taken.into_iter().map(|(_, booking)| booking).collect();
        deadlines.round = Some(Round { draft, taken, again });
        Ok(true)
    }

    fn end_round(&mut self, p: usize, mut deadlines: Deadlines, round: Round) -> Result<(), Breach> {
        match self.write(p, Gate::Deadlines, &round.draft)? {
            Written::Done { .. } => deadlines.due.extend(round.again),
            // Somebody was paying at that very moment; all of it is still due.
            Written::Refused(Refusal::Conflict | Refusal::CheckpointMoved) => {
                deadlines.due.extend(round.taken.into_iter().map(|booking| (self.now, booking)));
            }
            // An error: they are resumed.
            Written::Failed | Written::Died => return Ok(()),
        }
        self.processes[p].deadlines = Some(deadlines);
        Ok(())
    }
}
