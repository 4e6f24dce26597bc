//! A concert that is called off takes its bookings with it, in rounds.

use aggregates::{
    Booking, BookingCommand, BookingError, BookingId, Concert, ConcertEvent, ConcertId, Event, booking::CancelReason,
};

use super::{
    draft::{CheckpointMove, Draft},
    fate::Gate,
    log::Refusal,
    world::{Mutation, World, Written},
};
use crate::Breach;

/// The checkpoint: every concert called off up to there is done with.
const CHECKPOINT: &str = "concert-cancellations";
/// Bookings cancelled in one unit of work, at most: few, so that there are rounds.
const ROUND_MAX: usize = 2;

/// How far a process is with concerts that were called off.
#[derive(Debug)]
pub(super) struct Cancellations {
    /// Done up to here.
    at: u64,
    /// Read up to here.
    to: u64,
    /// Concerts that were called off in between, the next one last.
    concerts: Vec<ConcertId>,
    /// What is left of the one that is being called off.
    bookings: Vec<BookingId>,
    round: Option<(Draft, Vec<BookingId>)>,
}

impl World {
    /// The process cancels some more, or writes what it has decided.
    pub(super) fn cancellations(&mut self, p: usize) -> Result<bool, Breach> {
        let Some(mut work) = self.processes[p].cancellations.take() else {
            let mut at = self.log.checkpoint(CHECKPOINT);
            if self.mutation == Mutation::ForgottenCancellations {
                at = at.max(self.processes[p].seen);
            }
            let (concerts, bookings) = (Vec::new(), Vec::new());
            self.processes[p].cancellations = Some(Cancellations { at, to: at, concerts, bookings, round: None });
            return Ok(true);
        };
        let keep = if let Some((draft, bookings)) = work.round.take() {
            self.cancel_round(p, &mut work, &draft, bookings)?
        } else if let Some(place) = work.bookings.len().checked_sub(1) {
            let bookings = work.bookings.split_off((place + 1).saturating_sub(ROUND_MAX));
            work.round = Some((self.decide_round(p, &bookings)?, bookings));
            true
        } else if let Some(concert) = work.concerts.pop() {
            let concert = self.look::<Concert>(p, concert.0).0;
            let with_tickets = concert.allotments().filter(|(_, allotment)| allotment.has_tickets());
            work.bookings = with_tickets.map(|(booking, _)| booking).collect();
            true
        } else if work.to > work.at {
            self.move_checkpoint(p, &mut work)?
        } else {
            let seen = self.processes[p].seen;
            let called_off = self.log.after(work.at, seen, usize::MAX).iter().filter_map(|entry| match entry.event {
                Event::Concert(ConcertEvent::ConcertCanceled { concert_id }) => Some(concert_id),
                Event::Concert(_) | Event::Booking(_) | Event::Payment(_) | Event::User(_) => None,
            });
            work.concerts = called_off.collect();
            let any = !work.concerts.is_empty();
            if any {
                work.to = seen;
            }
            self.processes[p].cancellations = Some(work);
            return Ok(any);
        };
        if keep {
            self.processes[p].cancellations = Some(work);
        }
        Ok(true)
    }

    fn decide_round(&mut self, p: usize, bookings: &[BookingId]) -> Result<Draft, Breach> {
        let mut draft = Draft::default();
        for booking in bookings {
            self.stage::<Booking>(p, &mut draft, booking.0);
            let cancel = BookingCommand::Cancel { reason: CancelReason::ConcertCanceled };
            match draft.decide::<Booking>(booking.0, cancel, None) {
                Ok(_) | Err(BookingError::IllegalTransition { .. }) => {}
                Err(refusal @ (BookingError::NoSuchBooking | BookingError::RequestedOtherwise)) => {
                    return Err(Breach::at(self.log.head(), format!("{booking:?} cannot be cancelled: {refusal}")));
                }
            }
        }
        Ok(draft)
    }

    /// Returns whether it goes on; else it is resumed.
    fn cancel_round(
        &mut self,
        p: usize,
        work: &mut Cancellations,
        draft: &Draft,
        bookings: Vec<BookingId>,
    ) -> Result<bool, Breach> {
        Ok(match self.write(p, Gate::Cancellations, draft)? {
            Written::Done { .. } => true,
            Written::Refused(Refusal::Conflict | Refusal::CheckpointMoved) => {
                work.round = Some((self.decide_round(p, &bookings)?, bookings));
                true
            }
            Written::Failed | Written::Died => false,
        })
    }

    fn move_checkpoint(&mut self, p: usize, work: &mut Cancellations) -> Result<bool, Breach> {
        let draft = Draft::moving(CheckpointMove { name: CHECKPOINT, from: work.at, to: work.to });
        let done = matches!(self.write(p, Gate::Cancellations, &draft)?, Written::Done { .. });
        work.at = work.to;
        Ok(done)
    }
}
