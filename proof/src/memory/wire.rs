//! What is on its way: calls that nobody waits for any more, and units of work whose writer has given up.

use chrono::{DateTime, Duration, Utc};
use payments::{Cancel, Confirm, ProviderPayment};

use super::{draft::Draft, world::World};
use crate::Breach;

/// Something that arrives later.
#[derive(Clone, Debug)]
pub(super) struct Late {
    /// Then at the latest.
    pub by: DateTime<Utc>,
    message: Message,
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    /// A unit of work; `again`, if it was written already.
    Unit { draft: Draft, again: bool },
    /// A call for money.
    Confirm(Confirm),
    /// A call to pay back.
    Refund(Cancel),
    /// What the provider, or somebody else, tells of a payment.
    Webhook(Box<ProviderPayment>),
}

impl World {
    /// Sends something that is on its way for so long at most.
    pub(super) fn send(&mut self, milliseconds_max: u64, message: Message) {
        let late = Duration::milliseconds(self.dice.below(milliseconds_max).cast_signed());
        self.wire.push(Late { by: self.now + late, message });
    }

    /// Something on the wire arrives.
    pub(super) fn arrive(&mut self, place: usize) -> Result<(), Breach> {
        if place >= self.wire.len() {
            return Ok(());
        }
        let late = self.wire.remove(place);
        self.tell(|_| format!("arrives late: {:?}", late.message));
        match late.message {
            Message::Unit { draft, again } => {
                let written = self.commit(&draft)?.is_ok();
                if written && again {
                    return Err(Breach::at(self.log.head(), "a unit of work was written twice"));
                }
            }
            // Nobody hears the answers.
            Message::Confirm(confirm) => {
                let declines = self.dice.falls(self.declines);
                let _unheard = self.bank.confirm(&confirm, declines, self.now);
            }
            Message::Refund(cancel) => {
                let declines = !self.bank.is_gullible() && self.dice.falls(self.declines);
                let _unheard = self.bank.cancel(&cancel, declines, self.now);
            }
            Message::Webhook(told) => self.receive(told),
        }
        Ok(())
    }

    /// All that is due to arrive does.
    pub(super) fn arrivals(&mut self) -> Result<bool, Breach> {
        self.tell_news();
        let mut any = false;
        while let Some(place) = self.wire.iter().position(|late| late.by <= self.now) {
            self.arrive(place)?;
            any = true;
        }
        Ok(any)
    }
}
