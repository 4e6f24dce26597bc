//! What is due for payments: noted from the log into a table, and attended to as [`payments::judge`] says. The rules of
//! the table are those of its SQL.

use aggregates::{
    AttemptId, Booking, BookingCommand, Event, Payment, PaymentCommand, PaymentId, booking::CancelReason,
    payment::Outcome,
};
use chrono::{DateTime, Duration, Utc};
use payments::{
    Cancel, Doubt, ProviderError, ProviderPayment, ProviderResult,
    due::Kind,
    judge::{self, Due, Follows, Found},
};
use uuid::Uuid;

use super::{
    draft::{CheckpointMove, Draft},
    execute::Executed,
    fate::{Fault, Gate},
    webhooks::Change,
    wire::Message,
    world::{Mutation, World, Written},
};
use crate::Breach;

/// The checkpoint of the notes.
pub(super) const NOTES: &str = "payment-work";
/// How far the due time of what was done moves, should it not be noted by then.
const LOOK_AGAIN: Duration = Duration::seconds(60);
/// The pause before what failed is tried again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::milliseconds(500), Duration::seconds(60));
/// How long a call to the provider may take, and far more.
const CALL_MAX: Duration = Duration::seconds(10);
/// Payments attended to at once, at most.
const AT_ONCE_MAX: usize = 8;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub due_at: DateTime<Utc>,
    tries: u32,
    /// Refusals for certain, so far.
    refusals: u32,
}

/// Something that is attended to.
#[derive(Debug)]
pub(super) struct Attending {
    pub payment: PaymentId,
    pub job: Job,
    pub stage: Stage,
}

/// Why.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// A row of the table.
    Due(Kind, u32),
    /// A webhook.
    Heed(Change),
}

#[derive(Debug)]
pub(super) enum Stage {
    Begin,
    LookUp(Box<Payment>),
    Refund(Cancel),
    /// More follows than what is written next: that is noted before.
    NoteMore(Box<Self>),
    Append(PaymentCommand, Option<Box<ProviderPayment>>),
    /// What else follows from what the provider says.
    Follow(Box<ProviderPayment>),
    WriteDown(Attended),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Attended {
    Done,
    NotYet(Duration),
    Later,
    Refused,
}

impl World {
    /// Notes what is due, as far as the process has seen the log.
    pub(super) fn note(&mut self, p: usize) -> Result<bool, Breach> {
        let (from, to) = (self.processes[p].notes, self.processes[p].seen);
        if to <= from {
            return Ok(false);
        }
        let work = self.log.after(from, to, usize::MAX).iter().flat_map(|entry| {
            let Event::Payment(event) = &entry.event else { return Vec::new() };
            let payment = crate::checker::payment_of(event);
            let due = judge::work_after(event).iter();
            due.map(|(kind, after)| ((payment, *kind), after.map(|after| entry.at + after))).collect::<Vec<_>>()
        });
        // Rows and checkpoint are one transaction.
        let work = work.collect();
        let mut draft = Draft::moving(CheckpointMove { name: NOTES, from, to });
        draft.work = work;
        let written = self.write(p, Gate::Notes, &draft)?;
        match written {
            Written::Done { .. } => self.processes[p].notes = to,
            Written::Refused(_) | Written::Failed => self.processes[p].notes = self.log.checkpoint(NOTES),
            Written::Died => {}
        }
        Ok(true)
    }

    /// What was noted is in the table.
    pub(super) fn enter(&mut self, draft: &Draft) {
        for (key, due_at) in &draft.work {
            match due_at {
                Some(_) if self.mutation == Mutation::NoVerification && key.1 == Kind::Verify => {}
                Some(due_at) => {
                    self.table.entry(*key).or_insert(Row { due_at: *due_at, tries: 0, refusals: 0 }).due_at = *due_at;
                }
                None => {
                    self.table.remove(key);
                }
            }
        }
    }

    /// Takes up what is due, if nothing is being attended to.
    pub(super) fn begin_to_attend(&mut self, p: usize) -> bool {
        if !self.processes[p].attending.is_empty() {
            return false;
        }
        let due = self.table.iter().filter(|(_, row)| row.due_at <= self.now);
        let due = due.map(|((payment, kind), row)| (*payment, Job::Due(*kind, row.refusals)));
        let heed = self.inbox.iter().filter(|(_, letter)| !letter.heeded && letter.due_at <= self.now);
        let heed = heed.map(|(change, _)| (change.payment, Job::Heed(change.clone())));
        let work = due.chain(heed).map(|(payment, job)| Attending { payment, job, stage: Stage::Begin });
        self.processes[p].attending = work.take(AT_ONCE_MAX).collect();
        !self.processes[p].attending.is_empty()
    }

    /// Does the next thing about something that is attended to.
    pub(super) fn attend(&mut self, p: usize, place: usize) -> Result<(), Breach> {
        let Attending { payment, job, stage } = self.processes[p].attending.swap_remove(place);
        self.tell(|_| format!("process {p} attends to {payment:?}: {job:?}: {stage:?}"));
        let next = match stage {
            Stage::Begin => Some(self.consider(p, payment, &job)),
            Stage::LookUp(state) => match self.look_up(p, payment) {
                Some(Ok(found)) => Some(self.found(&job, &state, found)?),
                Some(Err(_)) => Some(Stage::WriteDown(Attended::Later)),
                None => None,
            },
            Stage::Refund(cancel) => self.refund(p, cancel).map(|answer| match judge::refunded(answer) {
                Ok(command) => Stage::Append(command, None),
                Err(_) if self.mutation == Mutation::HopefulRefund => Stage::Append(PaymentCommand::Refunded, None),
                Err(error) if judge::is_refusal(&error) => Stage::WriteDown(Attended::Refused),
                Err(_) => Stage::WriteDown(Attended::Later),
            }),
            Stage::NoteMore(next) => self.note_more(p, payment, *next),
            Stage::Append(command, found) => match self.execute::<Payment>(p, Gate::Outcome, payment.0, command)? {
                Executed::Done { state, .. } if state.refund_due().is_none() => {
                    Some(found.map_or(Stage::WriteDown(Attended::Done), Stage::Follow))
                }
                Executed::Done { .. } | Executed::Refused(_) | Executed::Failed => {
                    Some(Stage::WriteDown(Attended::Later))
                }
                Executed::Died => None,
            },
            Stage::Follow(paid) => self.follow(p, payment, paid)?,
            Stage::WriteDown(attended) => {
                self.write_down(p, payment, &job, attended);
                None
            }
        };
        if let Some(stage) = next {
            self.processes[p].attending.push(Attending { payment, job, stage });
        }
        Ok(())
    }

    fn consider(&mut self, p: usize, payment: PaymentId, job: &Job) -> Stage {
        let state = self.look::<Payment>(p, payment.0).0;
        match job {
            Job::Heed(change) => self.heed(&state, change),
            Job::Due(kind, refusals) => match judge::due(*kind, payment, &state, self.now) {
                Due::Nothing => Stage::WriteDown(Attended::Done),
                Due::NotYet(wait) => Stage::WriteDown(Attended::NotYet(wait)),
                Due::LookUp => Stage::LookUp(Box::new(state)),
                Due::Refund(cancel) => Stage::Refund(judge::after_refusals(cancel, payment, *refusals)),
            },
        }
    }

    fn found(&mut self, job: &Job, state: &Payment, found: Option<ProviderPayment>) -> Result<Stage, Breach> {
        let else_follows = found.clone().map(Box::new);
        let kind = match job {
            Job::Due(kind, _) => *kind,
            // Whether a try came to nothing is for the attendant to find out.
            Job::Heed(_) => return Ok(else_follows.map_or(Stage::WriteDown(Attended::Done), Stage::Follow)),
        };
        Ok(match judge::found(kind, state, found, self.now) {
            Found::Nothing => else_follows.map_or(Stage::WriteDown(Attended::Done), Stage::Follow),
            Found::Outcome(PaymentCommand::Settle { outcome: Outcome::NotDone { .. }, .. })
                if state.in_flight().is_some_and(|attempt| self.now - attempt.attempted_at < CALL_MAX) =>
            {
                return Err(Breach::at(self.log.head(), format!("given up, and may be on its way: {state:?}")));
            }
            Found::Outcome(command) => self.append(command, else_follows),
            Found::LateMoney(command) => {
                self.meet("late money");
                self.append(command, else_follows)
            }
            Found::Person(why) => {
                return Err(Breach::at(self.log.head(), format!("a person must look at {state:?}: {why}")));
            }
        })
    }

    fn append(&self, command: PaymentCommand, found: Option<Box<ProviderPayment>>) -> Stage {
        let more = found.as_deref().is_some_and(judge::more_follows) && self.mutation != Mutation::NothingMoreNoted;
        let append = Stage::Append(command, found);
        if more { Stage::NoteMore(Box::new(append)) } else { append }
    }

    fn note_more(&mut self, p: usize, payment: PaymentId, next: Stage) -> Option<Stage> {
        let fault = self.pass(Gate::Table);
        if fault == Some(Fault::Fails) {
            return Some(Stage::WriteDown(Attended::Later));
        }
        if fault != Some(Fault::CrashesBefore) {
            let row = Row { due_at: self.now, tries: 0, refusals: 0 };
            self.table.entry((payment, Kind::Verify)).or_insert(row);
        }
        if matches!(fault, Some(Fault::CrashesBefore | Fault::CrashesAfter)) {
            self.crash(p);
            return None;
        }
        Some(next)
    }

    fn follow(&mut self, p: usize, payment: PaymentId, paid: Box<ProviderPayment>) -> Result<Option<Stage>, Breach> {
        let state = self.look::<Payment>(p, payment.0).0;
        let done = Some(Stage::WriteDown(Attended::Done));
        let later = Some(Stage::WriteDown(Attended::Later));
        Ok(match judge::follows(&state, &paid, self.now) {
            Follows::Nothing => done,
            Follows::Person(why) => {
                // A process that lags may call for nothing; with what is known by now nobody must be called.
                if judge::follows(&self.log.state(payment.0), &paid, self.now) == Follows::Person(why) {
                    return Err(Breach::at(self.log.head(), format!("a person must look at {payment:?}: {why}")));
                }
                self.meet("a person called in vain");
                done
            }
            Follows::Settle(command) => match self.execute::<Payment>(p, Gate::Outcome, payment.0, command)? {
                Executed::Done { .. } | Executed::Refused(_) => Some(Stage::Follow(paid)),
                Executed::Failed => later,
                Executed::Died => None,
            },
            Follows::CancelBooking(booking) => {
                self.meet("refunded past us");
                let cancel = BookingCommand::Cancel { reason: CancelReason::RefundedByProvider };
                match self.execute::<Booking>(p, Gate::Outcome, booking.0, cancel)? {
                    Executed::Done { .. } | Executed::Refused(_) => done,
                    Executed::Failed => later,
                    Executed::Died => None,
                }
            }
        })
    }

    fn write_down(&mut self, p: usize, payment: PaymentId, job: &Job, attended: Attended) {
        match self.pass(Gate::Table) {
            Some(Fault::CrashesBefore) => return self.crash(p),
            Some(Fault::Fails) => return,
            Some(Fault::CrashesAfter | Fault::LosesAnswer | Fault::Repeats | Fault::ComesLate) | None => {}
        }
        let kind = match job {
            Job::Due(kind, _) => *kind,
            Job::Heed(change) => return self.heeded(change, attended),
        };
        let Some(row) = self.table.get_mut(&(payment, kind)) else { return };
        match attended {
            Attended::Done if kind != Kind::Verify => row.due_at = self.now + LOOK_AGAIN,
            Attended::Done if row.due_at <= self.now => {
                self.table.remove(&(payment, kind));
            }
            Attended::Done => {}
            Attended::NotYet(wait) => row.due_at = self.now + wait,
            Attended::Later | Attended::Refused => {
                row.due_at = self.now + backoff(row.tries);
                row.tries += 1;
                row.refusals += u32::from(matches!(attended, Attended::Refused));
            }
        }
    }

    /// `None`: the process has died.
    fn refund(&mut self, p: usize, mut cancel: Cancel) -> Option<ProviderResult<ProviderPayment>> {
        if self.mutation == Mutation::NewRefundKey {
            cancel.idempotency_key = AttemptId(Uuid::from_u128(u128::from(self.dice.any())));
        }
        let fault = self.pass(Gate::Refund);
        match fault {
            // Who goes by keys alone must not be asked under another one; so there is no certain refusal of his.
            Some(Fault::Fails) if self.bank.is_gullible() => return Some(Err(ProviderError::Busy)),
            Some(Fault::Fails) => return Some(Err(self.trouble())),
            Some(Fault::CrashesBefore) => {
                self.crash(p);
                return None;
            }
            Some(Fault::ComesLate) => {
                self.send_call(Message::Refund(cancel));
                return Some(Err(Doubt::Timeout.into()));
            }
            Some(Fault::Repeats) => self.send_call(Message::Refund(cancel.clone())),
            Some(Fault::CrashesAfter | Fault::LosesAnswer) | None => {}
        }
        let declines = !self.bank.is_gullible() && self.dice.falls(self.declines);
        let answer = self.bank.cancel(&cancel, declines, self.now);
        self.answer(p, fault, answer)
    }
}

/// How long to wait after so many tries that failed.
pub(super) fn backoff(tries: u32) -> Duration {
    (BACKOFF.0 * 2_i32.pow(tries.min(10))).min(BACKOFF.1)
}
