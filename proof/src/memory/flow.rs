//! The standard flows, step by step, so that every step of them can be failed in turn.

use std::collections::BTreeMap;

use aggregates::{BookingId, BookingStatus, Payment, PaymentStatus, Qty, booking::CancelReason};
use payments::judge::Over;

use super::{
    clients::Fan,
    fate::{Fates, Fault, Gate},
    world::{Mutation, World},
};
use crate::Breach;

/// How often a client asks again that got no answer.
const CLIENT_TRIES_MAX: usize = 6;
/// How long the hold lasts in these flows, in seconds.
const HOLD_SECONDS: u32 = 60;
/// Steps of a payer: look, write down, ask, write down; and before and after all that.
const PAYERS_STEPS: usize = 6;
/// How long a client waits before it asks again, in milliseconds.
const CLIENT_PAUSE_MS: u64 = 3_000;

/// What happens, when nothing goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Booked, held, paid, sold.
    Pay,
    /// Booked, held, and never paid.
    Expire,
    /// Booked, held, called off.
    Cancel,
    /// Booked, paid, called off, paid back.
    PayAndCancel,
    /// Called off after so many steps of the payer.
    CancelWhilePaying(usize),
    /// The hold runs out after so many steps of the payer, who is slow.
    ExpireWhilePaying(usize),
    /// Declined, and then paid by another try.
    DeclinedOnce,
    /// Two fans want the same last tickets.
    LastTickets,
    /// Paid by one who dies before that is written down, and given back past us before anybody looks; no webhook tells.
    GivenBackUnheard,
    /// The concert is called off when one booking is paid, one is held, one is being paid and one has just been asked for.
    CallConcertOff,
}

/// How a flow ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where each booking ended.
    pub statuses: BTreeMap<BookingId, Option<BookingStatus>>,
    /// What the provider keeps, in won.
    pub kept: u64,
    /// How often each event happened, but for tries that came to nothing.
    pub events: BTreeMap<&'static str, usize>,
}

impl Flow {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut flows = vec![
            Self::Pay,
            Self::Expire,
            Self::Cancel,
            Self::PayAndCancel,
            Self::DeclinedOnce,
            Self::LastTickets,
            Self::GivenBackUnheard,
            Self::CallConcertOff,
        ];
        flows.extend((0..PAYERS_STEPS).map(Self::CancelWhilePaying));
        flows.extend((0..PAYERS_STEPS).map(Self::ExpireWhilePaying));
        flows
    }

    /// Runs it, with `fault` at the nth gate, the saga taking `batch` events at once. Returns how it ended and the gates that
    /// were passed; the error is what is wrong, and all that happened.
    pub fn run(self, batch: usize, fault: Option<(usize, Fault)>) -> Result<(Outcome, Vec<Gate>), (Breach, String)> {
        self.run_with(Mutation::None, batch, fault)
    }

    /// The same, with a mistake in it.
    pub fn run_with(
        self,
        mutation: Mutation,
        batch: usize,
        fault: Option<(usize, Fault)>,
    ) -> Result<(Outcome, Vec<Gate>), (Breach, String)> {
        let attempt = |mut world: World| {
            world.batch = batch;
            let outcome = world.play(self, fault).and_then(|()| world.settle());
            (outcome.map(|()| (world.outcome(), world.passed.clone())), world.story())
        };
        match attempt(World::new(0, Fates::Kind, mutation)).0 {
            Ok(outcome) => Ok(outcome),
            Err(breach) => Err((breach, attempt(World::new(0, Fates::Kind, mutation).with_story()).1)),
        }
    }
}

impl World {
    fn play(&mut self, flow: Flow, fault: Option<(usize, Fault)>) -> Result<(), Breach> {
        let concert = self.open_concert(0, 6, HOLD_SECONDS)?;
        if let Some((at, fault)) = fault {
            self.fates = Fates::Once { at, fault };
        }
        let two = Qty::new(2).map_err(|error| Breach::in_the_end(error.to_string()))?;
        let fan = self.fan(concert, two);
        match flow {
            Flow::Pay => {
                self.book_through(&fan)?;
                self.pay_through(&fan, "1")
            }
            Flow::Expire => self.book_through(&fan),
            Flow::Cancel => {
                self.book_through(&fan)?;
                self.cancel_through(&fan)
            }
            Flow::PayAndCancel => {
                self.book_through(&fan)?;
                self.pay_through(&fan, "1")?;
                self.cancel_through(&fan)
            }
            Flow::CancelWhilePaying(steps) => {
                self.book_through(&fan)?;
                self.come_to_pay(1, &fan, "1");
                for _ in 0..steps {
                    self.somebody_gets_on(1)?;
                }
                self.cancel_through(&fan)
            }
            Flow::ExpireWhilePaying(steps) => {
                self.book_through(&fan)?;
                self.come_to_pay(1, &fan, "1");
                for _ in 0..steps {
                    self.somebody_gets_on(1)?;
                }
                self.pass_time(u64::from(HOLD_SECONDS) * 1_000);
                // All the others get on first.
                let payer = std::mem::take(&mut self.processes[1].paying);
                self.calm()?;
                self.processes[1].paying = payer;
                self.calm().map(|_| ())
            }
            Flow::DeclinedOnce => {
                self.book_through(&fan)?;
                self.pay_through(&fan, "decline")?;
                self.pay_through(&fan, "2")
            }
            Flow::LastTickets => {
                let three = Qty::new(3).map_err(|error| Breach::in_the_end(error.to_string()))?;
                let others = [self.fan(concert, three), self.fan(concert, two)];
                self.book_through(&fan)?;
                others.iter().try_for_each(|fan| self.book_through(fan))?;
                self.pay_through(&fan, "1")
            }
            Flow::GivenBackUnheard => {
                self.webhooks = None;
                self.book_through(&fan)?;
                self.come_to_pay(1, &fan, "1");
                // Looks, writes the intent down, asks.
                for _ in 0..3 {
                    self.somebody_gets_on(1)?;
                }
                self.crash(1);
                let _there_was_some = self.bank.give_back_past_us(fan.payment(), self.now);
                Ok(())
            }
            Flow::CallConcertOff => {
                let others = [self.fan(concert, two), self.fan(concert, two), self.fan(concert, two)];
                self.book_through(&fan)?;
                self.pay_through(&fan, "1")?;
                self.book_through(&others[0])?;
                self.book_through(&others[1])?;
                self.come_to_pay(1, &others[1], "1");
                self.somebody_gets_on(1)?;
                self.somebody_gets_on(1)?;
                self.insist(|world| world.book(0, &others[2]))?;
                self.insist(|world| world.call_concert_off(0, concert))
            }
        }
    }

    /// A client asks until it has an answer.
    fn insist(&mut self, mut ask: impl FnMut(&mut Self) -> Result<bool, Breach>) -> Result<(), Breach> {
        for _ in 0..CLIENT_TRIES_MAX {
            if ask(self)? {
                return Ok(());
            }
            self.pass_time(CLIENT_PAUSE_MS);
        }
        Err(Breach::in_the_end("a client never got an answer"))
    }

    fn book_through(&mut self, fan: &Fan) -> Result<(), Breach> {
        self.insist(|world| world.book(0, fan))?;
        self.calm().map(|_| ())
    }

    fn cancel_through(&mut self, fan: &Fan) -> Result<(), Breach> {
        self.insist(|world| world.call_off(0, fan, CancelReason::ByFan))?;
        self.calm().map(|_| ())
    }

    /// A fan pays, and tries again by the same try as long as there is no answer, or a polite one.
    fn pay_through(&mut self, fan: &Fan, name: &str) -> Result<(), Breach> {
        for _ in 0..CLIENT_TRIES_MAX {
            let payment = self.log.state::<Payment>(fan.payment().0);
            if payment.status() != Some(PaymentStatus::PaymentRequested) {
                break;
            }
            self.come_to_pay(1, fan, name);
            let mut over = None;
            while over.is_none() && !self.processes[1].paying.is_empty() {
                over = self.pay(1, 0)?;
            }
            self.calm()?;
            match over {
                Some(Over::Approved(_) | Over::Declined { .. }) => return Ok(()),
                Some(Over::Later(_) | Over::Refused(_) | Over::Misconfigured(_)) | None => {}
            }
            self.pass_time(CLIENT_PAUSE_MS);
            self.arrivals()?;
            self.calm()?;
        }
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        let mut events = BTreeMap::new();
        for entry in &self.log.entries {
            *events.entry(entry.event.name()).or_default() += 1;
        }
        for tries in ["PaymentAttempted", "PaymentAttemptAbandoned", "PaymentPutOff"] {
            events.remove(tries);
        }
        let kept = self.bank.moved().values().map(|moved| moved.charged - moved.refunded).sum();
        Outcome { statuses: self.log.checker.statuses(), kept, events }
    }
}
