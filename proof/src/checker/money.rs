//! Money: one payment's way through the log.

use std::collections::BTreeSet;

use aggregates::{AttemptId, Money, PaymentEvent};

/// The money of one payment, as the log tells it.
#[derive(Debug, Default)]
pub(super) struct Purse {
    amount: Option<Money>,
    attempts: BTreeSet<AttemptId>,
    held: Held,
    /// It has ended; what comes now goes back.
    ended: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Held {
    /// None has come.
    #[default]
    Nothing,
    /// It is ours.
    Ours,
    /// It went back.
    Back,
}

impl Purse {
    /// Takes the payment's next event.
    pub fn note(&mut self, event: &PaymentEvent) -> Result<(), String> {
        if let PaymentEvent::PaymentRequested { amount, .. } = event {
            let again = self.amount.replace(*amount).is_some();
            return if again { Err("for the second time".to_owned()) } else { Ok(()) };
        }
        let Some(asked) = self.amount else { return Err("there is no PaymentRequested before it".to_owned()) };
        match event {
            PaymentEvent::PaymentRequested { .. }
            | PaymentEvent::PaymentPutOff { .. }
            | PaymentEvent::PaymentCancelRequested { .. } => Ok(()),
            PaymentEvent::PaymentAttempted { attempt_id, .. } => {
                let new = self.attempts.insert(*attempt_id);
                let may = !self.ended && self.held == Held::Nothing;
                if new && may { Ok(()) } else { Err("of a payment that is paid, has ended or was tried so".to_owned()) }
            }
            PaymentEvent::PaymentDeclined { attempt_id, .. }
            | PaymentEvent::PaymentAttemptAbandoned { attempt_id, .. } => self.tried(*attempt_id),
            PaymentEvent::PaymentApproved { attempt_id, amount, .. } => {
                self.tried(*attempt_id)?;
                if *amount != asked || self.held != Held::Nothing {
                    return Err(format!("{amount:?} where {asked:?} was asked for, money so far {:?}", self.held));
                }
                self.held = Held::Ours;
                Ok(())
            }
            PaymentEvent::PaymentCanceled { refunded, .. } => self.canceled(*refunded),
        }
    }

    fn tried(&self, attempt: AttemptId) -> Result<(), String> {
        if self.attempts.contains(&attempt) { Ok(()) } else { Err("there is no PaymentAttempted before it".to_owned()) }
    }

    fn canceled(&mut self, refunded: bool) -> Result<(), String> {
        match (self.held, refunded) {
            (Held::Nothing, false) if !self.ended => self.ended = true,
            (Held::Ours, true) => (self.held, self.ended) = (Held::Back, true),
            (held, refunded) => return Err(format!("refunded: {refunded}, money {held:?}, ended: {}", self.ended)),
        }
        Ok(())
    }

    /// Whether money of it is ours.
    pub fn is_ours(&self) -> bool {
        self.held == Held::Ours
    }

    /// What was charged and what went back in all, in minor units.
    pub fn moved(&self) -> (u64, u64) {
        let amount = self.amount.map_or(0, |amount| amount.amount);
        match self.held {
            Held::Nothing => (0, 0),
            Held::Ours => (amount, 0),
            Held::Back => (amount, amount),
        }
    }
}
