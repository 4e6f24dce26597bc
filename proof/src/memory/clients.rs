//! Fans and the organizer, and what they ask for.

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingId, Concert, ConcertCommand, ConcertId, Money, PaymentId, Qty, UserId,
    booking::{CancelReason, Request},
    concert::{Register, Terms},
};
use uuid::Uuid;

use super::{execute::Executed, fate::Gate, log::Kept as _, world::World};
use crate::Breach;

/// A fan with one booking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fan {
    pub booking: BookingId,
    pub concert: ConcertId,
    pub qty: Qty,
}

impl Fan {
    pub fn payment(&self) -> PaymentId {
        PaymentId::of(self.booking)
    }

    fn request(&self) -> Request {
        let user_id = UserId(self.booking.0);
        Request { booking_id: self.booking, concert_id: self.concert, user_id, qty: self.qty }
    }
}

impl World {
    /// A concert goes on sale.
    pub(super) fn open_concert(&mut self, nth: u128, capacity: u32, hold_seconds: u32) -> Result<ConcertId, Breach> {
        let concert_id = ConcertId(Uuid::from_u128(1_000 + nth));
        let terms = Register {
            concert_id,
            organizer_id: UserId(Uuid::from_u128(1)),
            name: format!("Autumn {nth}"),
            venue: None,
            starts_at: None,
            capacity,
            price: Money::krw(11_000 + 1_000 * u64::from(capacity)),
            max_per_booking: Qty::new(3).ok(),
            hold_seconds,
        };
        // Not at a gate: a world without a concert proves nothing.
        let fates = std::mem::replace(&mut self.fates, super::fate::Fates::Kind);
        let done = self.execute::<Concert>(0, Gate::Command, concert_id.0, ConcertCommand::Register(terms));
        self.fates = fates;
        self.passed.clear();
        done.map(|_| concert_id)
    }

    pub(super) fn concerts(&self) -> impl Iterator<Item = &Terms> {
        Concert::shelf(&self.log).newest().filter_map(Concert::terms)
    }

    /// Another fan appears.
    pub(super) fn fan(&mut self, concert: ConcertId, qty: Qty) -> Fan {
        let fan = Fan { booking: BookingId(Uuid::from_u128(100 + self.fans.len() as u128)), concert, qty };
        self.fans.push(fan);
        fan
    }

    /// The fan asks for tickets, at process `p`. Asking again for the same is no second booking. Returns whether the
    /// fan has an answer.
    pub(super) fn book(&mut self, p: usize, fan: &Fan) -> Result<bool, Breach> {
        let command = BookingCommand::Request(fan.request());
        self.command::<Booking>(p, fan.booking.0, command)
    }

    /// The booking is called off.
    pub(super) fn call_off(&mut self, p: usize, fan: &Fan, reason: CancelReason) -> Result<bool, Breach> {
        self.command::<Booking>(p, fan.booking.0, BookingCommand::Cancel { reason })
    }

    /// The organizer calls the concert off.
    pub(super) fn call_concert_off(&mut self, p: usize, concert: ConcertId) -> Result<bool, Breach> {
        self.command::<Concert>(p, concert.0, ConcertCommand::Cancel)
    }

    /// The organizer sets the number of tickets.
    pub(super) fn change_capacity(&mut self, p: usize, concert: ConcertId, capacity: u32) -> Result<bool, Breach> {
        self.command::<Concert>(p, concert.0, ConcertCommand::ChangeCapacity { capacity })
    }

    /// The fan begins to pay, by the try of this name.
    pub(super) fn come_to_pay(&mut self, p: usize, fan: &Fan, name: &str) {
        let payment = fan.payment();
        self.begin_to_pay(p, payment, AttemptId::derived(payment, name), format!("{name}-{}", fan.booking));
    }

    fn command<A: super::draft::Drafted>(&mut self, p: usize, id: Uuid, command: A::Command) -> Result<bool, Breach> {
        self.tell(|_| format!("process {p} is asked for {command:?}"));
        Ok(match self.execute::<A>(p, Gate::Command, id, command)? {
            Executed::Done { .. } | Executed::Refused(_) => true,
            Executed::Failed | Executed::Died => false,
        })
    }
}
