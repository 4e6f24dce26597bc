//! Webhooks: told by the provider of each change, perhaps more than once, late, and in another order; or told by somebody
//! else. Taken durably, unless the log says so already, and never believed: the provider is asked.

use aggregates::{Payment, PaymentId};
use chrono::{DateTime, Duration, Utc};
use payments::{
    ProviderPayment,
    judge::{self, Follows},
    webhooks::ANSWER_WAIT,
};

use super::{
    attending::{Attended, Stage, backoff},
    fate::{Fault, Gate},
    wire::Message,
    world::World,
};

/// The status of a payment, as the text of a webhook says it: what of it tells one change from another.
type Status = String;

/// A change of a payment, as it is told. The same change is the same letter, however often it comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub payment: PaymentId,
    payment_key: String,
    status: Status,
}

/// What was told, as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    told: ProviderPayment,
    pub due_at: DateTime<Utc>,
    pub heeded: bool,
    tries: u32,
}

impl World {
    /// The provider tells of what has changed.
    pub(super) fn tell_news(&mut self) {
        let news = self.bank.take_news();
        let Some(duplicates) = self.webhooks else { return };
        for paid in news {
            let times = 1 + self.dice.below(duplicates + 1);
            for _ in 0..times {
                let longest = self.dice.one_of([100, 5_000, 60_000, 900_000]);
                self.send(longest, Message::Webhook(Box::new(paid.clone())));
            }
        }
    }

    /// Somebody tells lies.
    pub(super) fn forge(&mut self, payment: PaymentId) {
        let Some(mut told) = self.bank.by_order(payment).cloned() else { return };
        let statuses = [payments::ProviderStatus::Done, payments::ProviderStatus::Canceled];
        told.status = self.dice.one_of(statuses);
        self.send(100, Message::Webhook(Box::new(told)));
    }

    /// A webhook arrives. What could not be stored is sent again.
    pub(super) fn receive(&mut self, told: Box<ProviderPayment>) {
        let p = self.dice.place(self.processes.len());
        let fault = self.pass(Gate::Inbox);
        if matches!(fault, Some(Fault::CrashesBefore)) {
            self.crash(p);
        }
        if matches!(fault, Some(Fault::Fails | Fault::CrashesBefore | Fault::ComesLate)) {
            return self.send(60_000, Message::Webhook(told));
        }
        // As far as this process knows, which may not be the newest.
        let state = self.look::<Payment>(p, told.order_id.0).0;
        if !judge::says_so(&state, &told, self.now) {
            let change = Change {
                payment: told.order_id,
                payment_key: told.payment_key.clone(),
                status: format!("{:?} {}", told.status, told.cancels.len()),
            };
            let letter = Letter { told: *told.clone(), due_at: self.now, heeded: false, tries: 0 };
            self.inbox.entry(change).or_insert(letter);
        }
        match fault {
            Some(Fault::CrashesAfter) => self.crash(p),
            Some(Fault::LosesAnswer | Fault::Repeats) => self.send(60_000, Message::Webhook(told)),
            Some(Fault::Fails | Fault::CrashesBefore | Fault::ComesLate) | None => {}
        }
    }

    /// What to do about a webhook, when the payment is in this state.
    pub(super) fn heed(&self, state: &Payment, change: &Change) -> Stage {
        let Some(letter) = self.inbox.get(change) else { return Stage::WriteDown(Attended::Done) };
        if judge::follows(state, &letter.told, self.now) == Follows::Nothing {
            return Stage::WriteDown(Attended::Done);
        }
        let wait = Duration::milliseconds(ANSWER_WAIT.num_milliseconds());
        match state.in_flight().map(|attempt| self.now - attempt.attempted_at) {
            Some(age) if age < wait => Stage::WriteDown(Attended::NotYet(wait - age)),
            Some(_) | None => Stage::LookUp(Box::new(state.clone())),
        }
    }

    pub(super) fn heeded(&mut self, change: &Change, attended: Attended) {
        let now = self.now;
        let Some(letter) = self.inbox.get_mut(change) else { return };
        match attended {
            Attended::Done => letter.heeded = true,
            Attended::NotYet(wait) => letter.due_at = now + wait,
            Attended::Later | Attended::Refused => {
                letter.due_at = now + backoff(letter.tries);
                letter.tries += 1;
            }
        }
    }
}
