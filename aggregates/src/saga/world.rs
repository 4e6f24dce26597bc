//! Property tests: the whole domain in memory, driven by random command sequences over several bookings of one
//! concert, with clients overtaking the saga and the saga seeing events again, as after a lost checkpoint.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use proptest::prelude::*;
use uuid::Uuid;

use super::{Command, booking_of, react};
use crate::{
    AttemptId, Booking, BookingCommand, BookingEvent, BookingId, Concert, ConcertCommand, ConcertEvent, ConcertId,
    Event, Money, Payment, PaymentCommand, PaymentEvent, PaymentId, Qty, UserId,
    booking::{CancelReason, Request},
    concert::{AllotmentState, Register},
    payment::{Outcome, PaymentStatus},
};

const CONCERT: ConcertId = ConcertId(Uuid::from_u128(1));
const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(0);
const BOOKINGS: u128 = 5;

fn booking_id(n: u128) -> BookingId {
    BookingId(Uuid::from_u128(100 + n))
}

/// What a random sequence is made of.
#[derive(Clone, Debug)]
enum Step {
    Request {
        booking: u128,
        qty: u32,
    },
    Cancel {
        booking: u128,
    },
    Expire {
        booking: u128,
    },
    Attempt {
        booking: u128,
        attempt: u128,
    },
    Approve {
        booking: u128,
        attempt: u128,
    },
    Decline {
        booking: u128,
        attempt: u128,
    },
    Refund {
        booking: u128,
    },
    /// The try is given up, perhaps wrongly.
    GiveUp {
        booking: u128,
        attempt: u128,
    },
    ChangeCapacity {
        capacity: u32,
    },
    CancelConcert,
    /// The saga takes the next event of one booking; other bookings' events may be handled before or after it.
    Saga {
        booking: u128,
    },
    /// The saga lost its checkpoint by this many events of one booking and sees them again.
    Again {
        booking: u128,
        events: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let booking = || 0..BOOKINGS;
    let step = prop_oneof![
        3 => (booking(), 1..4u32).prop_map(|(booking, qty)| Step::Request { booking, qty }),
        1 => booking().prop_map(|booking| Step::Cancel { booking }),
        1 => booking().prop_map(|booking| Step::Expire { booking }),
        3 => (booking(), 0..3u128).prop_map(|(booking, attempt)| Step::Attempt { booking, attempt }),
        3 => (booking(), 0..3u128).prop_map(|(booking, attempt)| Step::Approve { booking, attempt }),
        1 => (booking(), 0..3u128).prop_map(|(booking, attempt)| Step::Decline { booking, attempt }),
        1 => (booking(), 0..3u128).prop_map(|(booking, attempt)| Step::GiveUp { booking, attempt }),
        1 => booking().prop_map(|booking| Step::Refund { booking }),
        1 => (1..8u32).prop_map(|capacity| Step::ChangeCapacity { capacity }),
        1 => Just(Step::CancelConcert),
        12 => booking().prop_map(|booking| Step::Saga { booking }),
        2 => (booking(), 1..6usize).prop_map(|(booking, events)| Step::Again { booking, events }),
    ];
    prop::collection::vec(step, 1..120)
}

/// The log, the states it has made, and how far the saga has come with each booking.
#[derive(Default)]
struct World {
    log: Vec<Event>,
    concert: Concert,
    bookings: HashMap<BookingId, Booking>,
    payments: HashMap<PaymentId, Payment>,
    /// For each booking, the positions in `log` of the events that concern it.
    concerning: HashMap<BookingId, Vec<usize>>,
    handled: HashMap<BookingId, usize>,
}

impl World {
    fn open(capacity: u32) -> Self {
        let mut world = Self::default();
        let terms = Register {
            concert_id: CONCERT,
            organizer_id: UserId(Uuid::from_u128(2)),
            name: "Autumn".to_owned(),
            venue: None,
            starts_at: None,
            capacity,
            price: Money::krw(1_000),
            max_per_booking: None,
            hold_seconds: 600,
        };
        world.command(Command::Concert(CONCERT, ConcertCommand::Register(terms))).unwrap();
        world
    }

    /// Appends what follows from `command` and returns how many events that was.
    fn command(&mut self, command: Command) -> Result<usize, String> {
        let events: Vec<Event> = match command {
            Command::Concert(_, command) => {
                let events = self.concert.decide(command).map_err(|error| error.to_string())?;
                events.iter().cloned().for_each(|event| self.concert.apply(event));
                events.into_iter().map(Event::Concert).collect()
            }
            Command::Booking(id, command) => {
                let booking = self.bookings.entry(id).or_default();
                let events = booking.decide(command).map_err(|error| error.to_string())?;
                events.iter().cloned().for_each(|event| booking.apply(event));
                events.into_iter().map(Event::Booking).collect()
            }
            Command::Payment(id, command) => {
                let payment = self.payments.entry(id).or_default();
                let events = payment.decide(command).map_err(|error| error.to_string())?;
                events.iter().cloned().for_each(|event| payment.apply(event));
                events.into_iter().map(Event::Payment).collect()
            }
        };
        let count = events.len();
        for event in events {
            if let Some(booking) = booking_of(&event) {
                self.concerning.entry(booking).or_default().push(self.log.len());
            }
            self.log.push(event);
            self.check_positions();
        }
        Ok(count)
    }

    /// The saga handles the next event of `booking`; false where there is none.
    fn saga(&mut self, booking: BookingId) -> bool {
        let handled = self.handled.get(&booking).copied().unwrap_or(0);
        let Some(&position) = self.concerning.get(&booking).and_then(|positions| positions.get(handled)) else {
            return false;
        };
        for command in self.reactions(position) {
            self.command(command.clone()).unwrap_or_else(|error| panic!("the saga's own {command:?}: {error}"));
        }
        self.handled.insert(booking, handled + 1);
        true
    }

    /// The saga handles events of `booking` that it has handled already: a refusal is as good as no effect.
    fn again(&mut self, booking: BookingId, events: usize) {
        let handled = self.handled.get(&booking).copied().unwrap_or(0);
        for nth in handled.saturating_sub(events)..handled {
            let position = self.concerning[&booking][nth];
            for command in self.reactions(position) {
                let _refused_or_not = self.command(command);
            }
        }
    }

    fn reactions(&self, position: usize) -> Vec<Command> {
        let event = &self.log[position];
        let booking = booking_of(event).and_then(|id| self.bookings.get(&id)).cloned().unwrap_or_default();
        react(event, &booking, NOW)
    }

    fn run(&mut self, step: &Step) {
        let command = match *step {
            Step::Request { booking, qty } => {
                let (booking_id, user_id) = (booking_id(booking), UserId(Uuid::from_u128(booking)));
                let request = Request { booking_id, concert_id: CONCERT, user_id, qty: Qty::new(qty).unwrap() };
                Command::Booking(booking_id, BookingCommand::Request(request))
            }
            Step::Cancel { booking } => {
                Command::Booking(booking_id(booking), BookingCommand::Cancel { reason: CancelReason::ByFan })
            }
            Step::Expire { booking } => Command::Booking(booking_id(booking), BookingCommand::Expire),
            Step::Attempt { booking, attempt } => {
                let payment = PaymentId::of(booking_id(booking));
                let attempt_id = AttemptId::derived(payment, &attempt.to_string());
                let payment_key = attempt.to_string();
                Command::Payment(payment, PaymentCommand::Attempt { attempt_id, payment_key, now: NOW })
            }
            Step::Approve { booking, attempt } => settle(booking, attempt, approved()),
            Step::Decline { booking, attempt } => {
                settle(booking, attempt, Outcome::Declined { code: "NO".to_owned(), message: String::new() })
            }
            Step::GiveUp { booking, attempt } => settle(booking, attempt, Outcome::NotDone { reason: String::new() }),
            Step::Refund { booking } => Command::Payment(PaymentId::of(booking_id(booking)), PaymentCommand::Refunded),
            Step::ChangeCapacity { capacity } => Command::Concert(CONCERT, ConcertCommand::ChangeCapacity { capacity }),
            Step::CancelConcert => Command::Concert(CONCERT, ConcertCommand::Cancel),
            Step::Saga { booking } => {
                self.saga(booking_id(booking));
                return;
            }
            Step::Again { booking, events } => return self.again(booking_id(booking), events),
        };
        // A client's command may be refused; accepted or not, the same again must change nothing.
        let _refused_or_not = self.command(command.clone());
        assert!(matches!(self.command(command.clone()), Ok(0) | Err(_)), "{command:?} had a second effect");
    }

    /// Everything the saga, a provider that answers, and refunds have left to do.
    fn drain(&mut self) {
        loop {
            let mut moved = false;
            for n in 0..BOOKINGS {
                moved |= self.saga(booking_id(n));
                let payment_id = PaymentId::of(booking_id(n));
                let payment = self.payments.get(&payment_id).cloned().unwrap_or_default();
                if let Some(attempt) = payment.in_flight() {
                    let outcome = approved();
                    let settle = PaymentCommand::Settle { attempt_id: attempt.attempt_id, outcome };
                    moved |= self.command(Command::Payment(payment_id, settle)).unwrap() > 0;
                } else if payment.refund_due().is_some() {
                    moved |= self.command(Command::Payment(payment_id, PaymentCommand::Refunded)).unwrap() > 0;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Invariants that hold at every position of the log.
    fn check_positions(&self) {
        let counts = self.concert.counts();
        assert!(counts.held + counts.sold <= counts.capacity, "oversold: {counts:?}");
        let before = |is: &dyn Fn(&Event) -> bool| self.log.iter().any(is);
        match self.log.last() {
            Some(Event::Booking(BookingEvent::BookingApproved { booking_id: id, .. })) => assert!(
                before(
                    &|event| matches!(event, Event::Payment(PaymentEvent::PaymentApproved { booking_id, .. }) if booking_id == id)
                ),
                "approved without payment"
            ),
            Some(Event::Payment(PaymentEvent::PaymentRequested { booking_id: id, .. })) => assert!(
                before(
                    &|event| matches!(event, Event::Concert(ConcertEvent::TicketsHeld { booking_id, .. }) if booking_id == id)
                ),
                "payment without tickets"
            ),
            Some(_) | None => {}
        }
    }

    /// Invariants that hold once everybody has caught up.
    fn check_end(&self) {
        for (id, allotment) in self.concert.allotments() {
            let live = self.bookings.get(&id).is_some_and(Booking::is_live);
            assert!(live || !allotment.has_tickets(), "{id:?} is dead and has tickets");
        }
        for payment in self.payments.values() {
            let Some(request) = payment.request() else { continue };
            let booking = &self.bookings[&request.booking_id];
            if payment.status() == Some(PaymentStatus::PaymentApproved) {
                let approved = booking.status() == Some(crate::BookingStatus::BookingApproved);
                assert!(approved, "paid for nothing: {request:?}, {:?}", booking.status());
                let sold = self.concert.allotment(request.booking_id).map(|allotment| allotment.state);
                assert_eq!(sold, Some(AllotmentState::Sold), "paid, approved, but not sold");
            }
        }
    }
}

fn approved() -> Outcome {
    Outcome::Approved { approved_at: NOW, payment_key: "k".to_owned() }
}

fn settle(booking: u128, attempt: u128, outcome: Outcome) -> Command {
    let payment = PaymentId::of(booking_id(booking));
    let attempt_id = AttemptId::derived(payment, &attempt.to_string());
    Command::Payment(payment, PaymentCommand::Settle { attempt_id, outcome })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn invariants_hold_whatever_overtakes_what(capacity in 1..8u32, steps in steps()) {
        let mut world = World::open(capacity);
        for step in &steps {
            world.run(step);
        }
        world.drain();
        world.check_end();
    }
}

#[test]
fn a_booking_cancelled_while_its_hold_is_on_the_way_is_released_not_billed() {
    let mut world = World::open(3);
    let id = booking_id(0);
    world.run(&Step::Request { booking: 0, qty: 2 });
    assert!(world.saga(id));
    world.run(&Step::Cancel { booking: 0 });
    world.drain();
    world.check_end();
    assert_eq!(world.payments.get(&PaymentId::of(id)).and_then(Payment::request), None);
    assert_eq!(world.concert.counts().available(), 3);
}

#[test]
fn money_that_comes_after_the_cancellation_goes_back() {
    let mut world = World::open(3);
    world.run(&Step::Request { booking: 0, qty: 2 });
    world.drain();
    world.run(&Step::Attempt { booking: 0, attempt: 0 });
    world.run(&Step::Cancel { booking: 0 });
    world.run(&Step::Approve { booking: 0, attempt: 0 });
    world.drain();
    world.check_end();
    let payment = &world.payments[&PaymentId::of(booking_id(0))];
    assert_eq!(payment.status(), Some(PaymentStatus::PaymentCanceled));
    assert_eq!(world.concert.counts().available(), 3);
}

#[test]
fn a_booking_cancelled_right_after_its_approval_is_not_counted_as_sold() {
    let mut world = World::open(3);
    world.run(&Step::Request { booking: 0, qty: 2 });
    world.drain();
    world.run(&Step::Attempt { booking: 0, attempt: 0 });
    world.run(&Step::Approve { booking: 0, attempt: 0 });
    assert!(world.saga(booking_id(0)));
    world.run(&Step::Cancel { booking: 0 });
    world.drain();
    world.check_end();
    let sold = world.log.iter().any(|event| matches!(event, Event::Concert(ConcertEvent::TicketsSold { .. })));
    assert!(!sold);
    assert_eq!(world.concert.counts().available(), 3);
}

#[test]
fn a_booking_that_is_paid_is_sold_and_one_that_is_not_is_not() {
    let mut world = World::open(3);
    world.run(&Step::Request { booking: 0, qty: 2 });
    world.run(&Step::Request { booking: 1, qty: 2 });
    world.drain();
    world.run(&Step::Attempt { booking: 0, attempt: 0 });
    world.drain();
    let counts = world.concert.counts();
    assert_eq!((counts.held, counts.sold, counts.available()), (0, 2, 1));
    assert_eq!(world.bookings[&booking_id(1)].status(), Some(crate::BookingStatus::BookingRejected));
}
