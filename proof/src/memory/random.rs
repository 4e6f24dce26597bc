//! Schedules drawn from a seed.

use aggregates::{ConcertId, Payment, PaymentStatus, Qty, booking::CancelReason};

use super::{
    clients::Fan,
    fate::Fates,
    world::{Mutation, World},
};
use crate::{Breach, Tally};

/// Moves of a schedule, at least and at most.
const MOVES: (u64, u64) = (80, 500);
/// How often somebody is looked for who has something to pay.
const PAYERS_TRIED: usize = 4;

/// Runs the schedule of `seed` and lets everything settle. The error is what is wrong, and all that happened.
pub fn run(seed: u64, mutation: Mutation) -> Result<Tally, (Breach, String)> {
    let mut world = World::new(seed, Fates::Kind, mutation);
    match world.live().and_then(|()| world.settle()) {
        Ok(()) => Ok(world.tally()),
        Err(breach) => {
            // Once more, writing it down this time.
            let mut world = World::new(seed, Fates::Kind, mutation).with_story();
            let _the_same = world.live().and_then(|()| world.settle());
            Err((breach, world.story()))
        }
    }
}

/// What the fans and the organizer of a schedule are like.
struct Crowd {
    fans_max: usize,
    cancels: u64,
    calls_off: u64,
    elections: u64,
    past_us: u64,
    haste: u64,
}

impl World {
    fn live(&mut self) -> Result<(), Breach> {
        let mood = &mut self.dice;
        let odds = mood.one_of([0, 10, 30, 60, 120]);
        let (lags, declines) = (mood.one_of([0, 300, 700]), mood.one_of([0, 100, 400]));
        let batch = mood.one_of([1, 2, 5, usize::MAX]);
        let crowd = Crowd {
            fans_max: 1 + mood.place(6),
            cancels: mood.one_of([0, 10, 30]),
            calls_off: mood.one_of([0, 0, 0, 1, 4]),
            elections: mood.one_of([0, 3, 60]),
            past_us: mood.one_of([0, 0, 3]),
            haste: mood.one_of([1, 20, 400]),
        };
        let (concerts, moves) = (1 + u128::from(mood.below(2)), MOVES.0 + mood.below(MOVES.1 - MOVES.0));
        let hold_seconds = mood.one_of([5, 60, 600, 600]);
        let mut open = Vec::new();
        for nth in 0..concerts {
            let capacity = self.dice.one_of([2, 4, 8, 20]);
            open.push(self.open_concert(nth, capacity, hold_seconds)?);
        }
        self.webhooks = self.dice.one_of([None, Some(0), Some(2)]);
        (self.fates, self.lags, self.declines, self.batch) = (Fates::Odds { thousandths: odds }, lags, declines, batch);
        for _ in 0..moves {
            self.any_move(&crowd, &open)?;
            let haste = self.dice.below(crowd.haste);
            self.pass_time(haste);
            self.arrivals()?;
        }
        Ok(())
    }

    fn any_move(&mut self, crowd: &Crowd, concerts: &[ConcertId]) -> Result<(), Breach> {
        let p = self.dice.place(self.processes.len());
        match self.dice.below(1_000) {
            0..60 => self.somebody_books(p, crowd, concerts),
            60..250 => {
                self.somebody_pays(p);
                Ok(())
            }
            n @ 250..280 if n - 250 < crowd.cancels => self.somebody_cancels(p),
            n @ 280..290 if n - 280 < crowd.calls_off => {
                let concert = concerts[self.dice.place(concerts.len())];
                self.call_concert_off(p, concert).map(|_| ())
            }
            290..300 => {
                let capacity = 1 + u32::try_from(self.dice.below(12)).unwrap_or(0);
                let concert = concerts[self.dice.place(concerts.len())];
                self.change_capacity(p, concert, capacity).map(|_| ())
            }
            n @ 300..303 if n - 300 < crowd.past_us && self.webhooks.is_some() && !self.bank.is_gullible() => {
                if let Some(fan) = self.somebody() {
                    let given = self.bank.give_back_past_us(fan.payment(), self.now);
                    self.tell(|_| format!("given back past us: {:?}: {given}", fan.payment()));
                }
                Ok(())
            }
            303..306 => {
                if let Some(fan) = self.somebody() {
                    self.forge(fan.payment());
                }
                Ok(())
            }
            306..316 => {
                let wait = self.dice.one_of([1_000, 3_000, 11_000, 11_000, 11_000, 11_000, 61_000, 61_000, 601_000]);
                self.wait(wait);
                Ok(())
            }
            316..325 => {
                if let Some(due) = self.next_due() {
                    self.now = self.now.max(due);
                }
                Ok(())
            }
            325..329 => {
                self.crash(p);
                Ok(())
            }
            329..339 => {
                let place = self.dice.place(self.wire.len());
                self.arrive(place)
            }
            n @ 339..400 if n - 339 < crowd.elections => {
                self.elect_another();
                Ok(())
            }
            400..600 => self.somebody_gets_on(p).map(|_| ()),
            600..650 => self.some_step(p),
            650..800 => self.office_hours(self.elected).map(|_| ()),
            _ => self.some_step(self.elected),
        }
    }

    fn wait(&mut self, milliseconds: u64) {
        self.tell(|_| format!("{milliseconds} ms pass"));
        self.pass_time(milliseconds);
    }

    fn somebody(&mut self) -> Option<Fan> {
        let place = self.dice.place(self.fans.len());
        self.fans.get(place).copied()
    }

    fn somebody_books(&mut self, p: usize, crowd: &Crowd, concerts: &[ConcertId]) -> Result<(), Breach> {
        let fan = if self.fans.len() < crowd.fans_max {
            let concert = concerts[self.dice.place(concerts.len())];
            let Ok(qty) = Qty::new(self.dice.one_of([1, 1, 2, 2, 3, 4])) else { return Ok(()) };
            self.fan(concert, qty)
        } else {
            let Some(fan) = self.somebody() else { return Ok(()) };
            fan
        };
        self.book(p, &fan).map(|_| ())
    }

    fn somebody_pays(&mut self, p: usize) {
        let name = self.dice.one_of(["1", "1", "2", "3", "decline"]);
        let can = |world: &Self, fan: &Fan| {
            let payment = world.log.state::<Payment>(fan.payment().0);
            payment.status() == Some(PaymentStatus::PaymentRequested)
        };
        let one_who_can = (0..PAYERS_TRIED).find_map(|_| self.somebody().filter(|fan| can(self, fan)));
        let anybody = if self.dice.falls(100) { self.somebody() } else { None };
        if let Some(fan) = one_who_can.or(anybody) {
            self.come_to_pay(p, &fan, name);
        }
    }

    fn somebody_cancels(&mut self, p: usize) -> Result<(), Breach> {
        let reason = self.dice.one_of([CancelReason::ByFan, CancelReason::ByFan, CancelReason::ByOrganizer]);
        match self.somebody() {
            Some(fan) => self.call_off(p, &fan, reason).map(|_| ()),
            None => Ok(()),
        }
    }

    /// A process does one thing.
    fn some_step(&mut self, p: usize) -> Result<(), Breach> {
        match self.dice.below(12) {
            0..2 => {
                self.observe(p);
                Ok(())
            }
            2..5 => self.saga(p).map(|_| ()),
            5 => self.deadlines(p).map(|_| ()),
            6 => self.cancellations(p).map(|_| ()),
            7 => self.note(p).map(|_| ()),
            _ => self.attend_to_some(p).map(|_| ()),
        }
    }

    /// One of those who pay gets a step further.
    pub(super) fn somebody_gets_on(&mut self, p: usize) -> Result<bool, Breach> {
        let count = self.processes[p].paying.len();
        if count == 0 {
            return Ok(false);
        }
        let place = self.dice.place(count);
        self.pay(p, place).map(|_| true)
    }

    /// The attendant gets a step further with something.
    pub(super) fn attend_to_some(&mut self, p: usize) -> Result<bool, Breach> {
        let count = self.processes[p].attending.len();
        if count == 0 {
            return Ok(self.begin_to_attend(p));
        }
        let place = self.dice.place(count);
        self.attend(p, place).map(|()| true)
    }
}

/// A schedule's dice do not depend on how often it was run.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dice;

    #[test]
    fn the_same_seed_is_the_same_schedule() {
        let story = |seed| {
            let mut world = World::new(seed, Fates::Kind, Mutation::None).with_story();
            assert_eq!(world.live().and_then(|()| world.settle()), Ok(()));
            world.story()
        };
        assert_eq!(story(7), story(7));
        assert_ne!(story(7), story(8));
        assert_eq!(Dice::new(1).any(), 0x910a_2dec_8902_5cc1, "the dice fall as they always did");
    }
}
