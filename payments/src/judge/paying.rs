//! A try to pay, step by step. Each step says what to do, and takes with it what follows from how that ends; whoever
//! takes the steps may be stopped between any two of them.

use aggregates::{
    AttemptId, Payment, PaymentCommand, PaymentError, PaymentStatus,
    payment::{Attempt, Outcome, Refused},
};
use chrono::{DateTime, Utc};

use super::{approved, is_charged, settle};
use crate::{Confirm, ProviderError, ProviderPayment, ProviderResult, ProviderStatus};

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Read the payment, and tell [`Reading::read`].
    Read(Reading),
    /// Write down what follows from a command to the payment, and tell [`Writing::written`] or [`Writing::refused`].
    Write(PaymentCommand, Writing),
    /// Ask the provider for the money, and tell [`Asking::answered`].
    Confirm(Confirm, Asking),
    /// Ask the provider what it knows of the payment, and tell [`Asking::found`].
    LookUp(Asking),
    /// There is nothing more to do.
    Over(Over),
}

/// What a try came to.
#[derive(Debug)]
pub enum Over {
    /// The money is ours; the payment as it stands then.
    Approved(Box<Payment>),
    /// The provider said no.
    Declined {
        /// The provider's code.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// What became of it is not known yet. The error is the one that kept us from knowing, if it was the provider's.
    Later(Option<ProviderError>),
    /// The payment refuses to be paid.
    Refused(PaymentError),
    /// The provider does not take our calls; the operator must look.
    Misconfigured(ProviderError),
}

/// What somebody wants: this payment paid, by this try, under this name.
#[derive(Clone, Debug)]
struct Wish {
    attempt: AttemptId,
    payment_key: String,
    /// Somebody else's try stood in the way already, and was waited for.
    waited: bool,
}

/// A payment to be read.
#[derive(Clone, Debug)]
pub struct Reading(Read);

#[derive(Clone, Debug)]
enum Read {
    /// Before anything is done.
    First(Wish),
    /// Another try is in flight.
    InTheWay(Wish, AttemptId),
    /// It was paid meanwhile.
    Paid,
    /// The try was settled otherwise meanwhile.
    Settled(Asking),
    /// The provider is not to be asked now.
    KeptAway(Wish),
}

/// A command to be written down.
#[derive(Debug)]
pub struct Writing(Write);

#[derive(Debug)]
enum Write {
    /// The intent.
    Intent(Wish),
    /// The outcome, perhaps of a call that was made wrongly.
    Outcome(Asking, Option<ProviderError>),
    /// More time for whoever is sent away.
    Away(Option<ProviderError>),
}

/// A try that the provider is asked about.
#[derive(Clone, Debug)]
pub struct Asking {
    attempt: AttemptId,
    state: Box<Payment>,
    earlier: Earlier,
    /// What is wanted once this try, somebody else's, has come to nothing.
    then: Option<Wish>,
}

/// Whether a call under the same idempotency key may have reached the provider before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Earlier {
    None,
    MayHaveArrived,
}

/// Begins to pay by `attempt`, or, where that was given up without the provider's word, by the one that follows.
pub const fn pay(attempt: AttemptId, payment_key: String) -> Step {
    Step::Read(Reading(Read::First(Wish { attempt, payment_key, waited: false })))
}

/// Like [`pay`], while the provider is not to be asked: what needs no provider is said all the same, and only whoever
/// could be paid for is sent away.
pub const fn keep_away(attempt: AttemptId, payment_key: String) -> Step {
    Step::Read(Reading(Read::KeptAway(Wish { attempt, payment_key, waited: false })))
}

/// Sends whoever wants to pay away for a moment, and keeps the tickets for that long.
pub const fn put_off(why: Option<ProviderError>, now: DateTime<Utc>) -> Step {
    Step::Write(PaymentCommand::PutOff { now }, Writing(Write::Away(why)))
}

impl Reading {
    /// The payment is this, `now`.
    pub fn read(self, state: &Payment, now: DateTime<Utc>) -> Step {
        match self.0 {
            // What is paid needs no provider.
            Read::First(_) | Read::Paid | Read::KeptAway(_)
                if state.status() == Some(PaymentStatus::PaymentApproved) =>
            {
                Step::Over(Over::Approved(Box::new(state.clone())))
            }
            Read::First(mut wish) => {
                while state.refused(wish.attempt).is_some_and(|refused| refused.code.is_none()) {
                    wish.attempt = wish.attempt.again();
                }
                wish.write_down(now)
            }
            // Somebody else's try, or one whose answer was lost: its outcome decides whether this one is needed.
            Read::InTheWay(wish, other) => match state.in_flight().filter(|open| open.attempt_id == other) {
                Some(open) => ask(state, open, Earlier::MayHaveArrived, Some(wish)),
                None => wish.write_down(now),
            },
            Read::Paid => Step::Over(Over::Approved(Box::new(state.clone()))),
            Read::Settled(asking) => asking.conclude(state, now),
            Read::KeptAway(wish) => wish.keep_away(state, now),
        }
    }
}

impl Wish {
    /// Says what the payment would say to the intent.
    fn keep_away(self, state: &Payment, now: DateTime<Utc>) -> Step {
        let Self { attempt: attempt_id, payment_key, .. } = self;
        if let Some(refused) = state.refused(attempt_id).filter(|refused| refused.code.is_some()) {
            return came_to_nothing(refused, now);
        }
        match state.decide(PaymentCommand::Attempt { attempt_id, payment_key, now }) {
            Ok(_) | Err(PaymentError::AttemptInFlight(_)) => put_off(None, now),
            Err(refusal) => Step::Over(Over::Refused(refusal)),
        }
    }

    /// Intent comes before effect.
    fn write_down(self, now: DateTime<Utc>) -> Step {
        let Self { attempt: attempt_id, payment_key, .. } = self.clone();
        Step::Write(PaymentCommand::Attempt { attempt_id, payment_key, now }, Writing(Write::Intent(self)))
    }
}

impl Writing {
    /// It is written down, and `changed` the payment or not.
    pub fn written(self, state: &Payment, changed: bool, now: DateTime<Utc>) -> Step {
        match self.0 {
            Write::Intent(wish) => {
                if let Some(refused) = state.refused(wish.attempt) {
                    return came_to_nothing(refused, now);
                }
                let earlier = if changed { Earlier::None } else { Earlier::MayHaveArrived };
                // The key of the try is the one that was written down first.
                match state.in_flight().filter(|open| open.attempt_id == wish.attempt) {
                    Some(open) => ask(state, open, earlier, None),
                    None => Step::Over(Over::Refused(PaymentError::NotInFlight(wish.attempt))),
                }
            }
            Write::Outcome(_, Some(misconfigured)) => Step::Over(Over::Misconfigured(misconfigured)),
            Write::Outcome(asking, None) => asking.conclude(state, now),
            Write::Away(why) => Step::Over(Over::Later(why)),
        }
    }

    /// The payment refuses it.
    pub fn refused(self, refusal: PaymentError) -> Step {
        match (self.0, refusal) {
            (Write::Intent(_), PaymentError::AlreadyApproved) => Step::Read(Reading(Read::Paid)),
            (Write::Intent(wish), PaymentError::AttemptInFlight(other)) if !wish.waited => {
                Step::Read(Reading(Read::InTheWay(Wish { waited: true, ..wish }, other)))
            }
            (Write::Outcome(_, Some(misconfigured)), PaymentError::NotInFlight(_)) => {
                Step::Over(Over::Misconfigured(misconfigured))
            }
            // Somebody settled it otherwise meanwhile; what stands in the log is the answer.
            (Write::Outcome(asking, None), PaymentError::NotInFlight(_)) => Step::Read(Reading(Read::Settled(asking))),
            (Write::Away(why), _) => Step::Over(Over::Later(why)),
            (Write::Intent(_) | Write::Outcome(..), refusal) => Step::Over(Over::Refused(refusal)),
        }
    }
}

fn ask(state: &Payment, open: &Attempt, earlier: Earlier, then: Option<Wish>) -> Step {
    let Some(request) = state.request() else { return Step::Over(Over::Refused(PaymentError::NoSuchPayment)) };
    let Attempt { attempt_id: attempt, payment_key, .. } = open.clone();
    let (order_id, amount) = (request.payment_id, request.amount);
    let confirm = Confirm { payment_key, order_id, amount, idempotency_key: attempt };
    Step::Confirm(confirm, Asking { attempt, state: Box::new(state.clone()), earlier, then })
}

impl Asking {
    /// The provider answers to the confirmation.
    pub fn answered(self, answer: ProviderResult<ProviderPayment>, now: DateTime<Utc>) -> Step {
        match answer {
            Ok(paid) if is_ours(&paid, &self.state) => self.settle(approved(paid, now), None),
            // Whatever it is, it is not what was asked for; the attendant finds out.
            Ok(_) => put_off(None, now),
            Err(ProviderError::Declined { code, message }) => self.settle(Outcome::Declined { code, message }, None),
            Err(ProviderError::AlreadyProcessed) => Step::LookUp(self),
            // The payment key is none, or one of something else. Whoever pays brought it, and may come with another.
            Err(ProviderError::Rejected { code, message }) if self.earlier == Earlier::None => {
                self.settle(Outcome::Declined { code, message }, None)
            }
            Err(error @ ProviderError::NotFound) if self.earlier == Earlier::None => {
                let code = "NOT_FOUND_PAYMENT".to_owned();
                self.settle(Outcome::Declined { code, message: error.to_string() }, None)
            }
            // Certain of this call, but an earlier one under the same key may have had its effect. And where it was not
            // taken at all, the same try may be taken the next time.
            Err(error) if error.is_certain() && !error.is_retryable() && self.earlier == Earlier::None => {
                self.settle(Outcome::NotDone { reason: error.to_string() }, Some(error))
            }
            Err(error) => put_off(Some(error), now),
        }
    }

    /// The provider says what was paid under our name, though perhaps not by this try.
    pub fn found(self, found: ProviderResult<Option<ProviderPayment>>, now: DateTime<Utc>) -> Step {
        match found {
            Ok(Some(paid)) if is_ours(&paid, &self.state) => self.settle(approved(paid, now), None),
            // Not taken, or given back already, or other money: what follows is for the attendant.
            Ok(Some(_)) => put_off(None, now),
            Err(error) => put_off(Some(error), now),
            // The key was used, and not for this: whoever pays must come with another one.
            Ok(None) => {
                let (code, message) = ("ALREADY_PROCESSED_PAYMENT", "this payment key was used for something else");
                self.settle(Outcome::Declined { code: code.to_owned(), message: message.to_owned() }, None)
            }
        }
    }

    fn settle(self, outcome: Outcome, misconfigured: Option<ProviderError>) -> Step {
        Step::Write(settle(self.attempt, outcome), Writing(Write::Outcome(self, misconfigured)))
    }

    /// What the payment says of this try in the end.
    fn conclude(self, state: &Payment, now: DateTime<Utc>) -> Step {
        if state.approved().is_some() {
            return Step::Over(Over::Approved(Box::new(state.clone())));
        }
        match (state.refused(self.attempt), self.then) {
            // Nobody else's try stands in the way any more.
            (Some(refused), Some(wish)) if refused.code.is_some() => wish.write_down(now),
            (Some(refused), _) => came_to_nothing(refused, now),
            (None, _) => put_off(None, now),
        }
    }
}

/// The money was taken, as much as was asked, and none of it went back.
fn is_ours(paid: &ProviderPayment, payment: &Payment) -> bool {
    paid.status == ProviderStatus::Done && is_charged(paid, payment)
}

fn came_to_nothing(refused: &Refused, now: DateTime<Utc>) -> Step {
    match refused.code.clone() {
        Some(code) => Step::Over(Over::Declined { code, message: refused.message.clone() }),
        None => put_off(None, now),
    }
}
