//! A sale in which everything happens: tickets are held, refused, paid through the simulator, declined, cancelled before and
//! after they were paid, and expire; a concert is called off, and a user erased.

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingId, Concert, ConcertCommand, ConcertId, Money, Payment, PaymentCommand,
    PaymentId, PaymentStatus, Qty, Role, Sealed, User, UserCommand, UserId,
    booking::{CancelReason, Request},
    concert::Register,
    payment::Outcome,
};
use chrono::Utc;
use futures::{StreamExt as _, stream};
use journal::{ExecuteError, Metadata, UnitOfWork};
use payments::Approval;
use saga::Saga;
use uuid::Uuid;

use crate::world::World;

/// Bookings in one round.
const ROUND: usize = 1_000;
/// People who book.
const FANS: usize = 40;
/// Of each round, those who pay by way of the simulator; the others' outcomes are told by the test, which is quicker.
const BY_SIMULATOR: usize = 60;
/// Events of one booking of these, about.
const EVENTS_EACH: usize = 6;

/// Everything that the sale has left behind.
pub struct Sale {
    /// The concert that most of it is about.
    pub concert: ConcertId,
    pub fans: Vec<UserId>,
    pub bookings: Vec<BookingId>,
}

fn by_a_fan() -> Metadata {
    Metadata::of_request("user:somebody", "r1")
}

impl World {
    /// Sells until the log has at least so many events.
    pub async fn sell(&self, events: usize) -> Sale {
        let fans: Vec<UserId> = (0..FANS).map(|_| UserId(Uuid::now_v7())).collect();
        for fan in &fans {
            let sealed = || Sealed("c2VhbGVk".to_owned());
            let register = UserCommand::Register { user_id: *fan, role: Role::Fan, name: sealed(), email: sealed() };
            self.journal.execute_new::<User>(fan.0, register, &by_a_fan()).await.unwrap();
        }
        let rounds = events.div_ceil(ROUND * EVENTS_EACH).max(1);
        let concert = self.register(u32::try_from(rounds * ROUND * 7 / 5).unwrap()).await;
        let mut sale = Sale { concert, fans, bookings: Vec::new() };
        let mut round = 0;
        while self.journal.position().0 < events as u64 {
            self.round(&mut sale, round).await;
            round += 1;
        }
        let erase = UserCommand::Erase;
        self.journal.execute::<User>(sale.fans[1].0, erase, &by_a_fan()).await.unwrap();
        // Somebody whose history is gone can have a new one, as far as the log is concerned.
        self.request(&sale, &[(sale.concert, 1, 1)]).await;
        self.follow_up().await;
        sale
    }

    async fn register(&self, capacity: u32) -> ConcertId {
        let concert_id = ConcertId(Uuid::now_v7());
        let terms = Register {
            concert_id,
            organizer_id: UserId(Uuid::nil()),
            name: "가을밤".to_owned(),
            venue: Some("Hall, \"big\"".to_owned()),
            starts_at: Some(Utc::now()),
            capacity,
            price: Money::krw(55_000),
            max_per_booking: Some(Qty::new(4).unwrap()),
            hold_seconds: 600,
        };
        self.journal.execute_new::<Concert>(concert_id.0, ConcertCommand::Register(terms), &by_a_fan()).await.unwrap();
        concert_id
    }

    /// Books: of which concert, by which fan, how many.
    async fn request(&self, sale: &Sale, wanted: &[(ConcertId, usize, u32)]) -> Vec<BookingId> {
        let mut unit = self.journal.unit().await;
        let mut bookings = Vec::new();
        for (concert_id, fan, tickets) in wanted {
            let booking_id = BookingId(Uuid::now_v7());
            let (user_id, qty) = (sale.fans[fan % sale.fans.len()], Qty::new(*tickets).unwrap());
            let request = Request { booking_id, concert_id: *concert_id, user_id, qty };
            let command = BookingCommand::Request(request);
            unit.execute_new::<Booking>(booking_id.0, command, &by_a_fan()).await.unwrap();
            bookings.push(booking_id);
        }
        unit.enqueue(None).await.unwrap().committed().await.unwrap();
        bookings
    }

    async fn round(&self, sale: &mut Sale, round: usize) {
        let doomed = self.register(30).await;
        let capacity = ConcertCommand::ChangeCapacity { capacity: 20 };
        self.journal.execute::<Concert>(doomed.0, capacity, &by_a_fan()).await.unwrap();
        let nowhere = ConcertId(Uuid::now_v7());
        let wanted: Vec<_> = (0..ROUND)
            .map(|n| match n % 50 {
                // Sold out soon, and called off in the end.
                0 | 1 => (doomed, n, 2),
                // No such concert; more than one may have.
                2 if n < 100 => (nowhere, n, 1),
                3 => (sale.concert, n, 5),
                _ => (sale.concert, n, 1 + u32::try_from(n % 3).unwrap()),
            })
            .collect();
        let bookings = self.request(sale, &wanted).await;
        // Some are called off before they are held: one overtakes the other.
        self.many(&bookings, |n| n % 41 == 7, cancel).await;
        self.follow_up().await;

        self.by_simulator(&bookings[50..50 + BY_SIMULATOR]).await;
        let is_paid = |n: usize| n >= 50 + BY_SIMULATOR && n % 10 < 7;
        self.payments(&bookings, is_paid, |payment| attempt(payment, "1")).await;
        // While these try, their booking is called off.
        self.many(&bookings, |n| is_paid(n) && n % 97 == 0, cancel).await;
        self.follow_up().await;
        self.payments(&bookings, |n| is_paid(n) && n % 10 == 6, |payment| settle(payment, "1", declined())).await;
        self.payments(&bookings, |n| is_paid(n) && n % 10 != 6, |payment| settle(payment, "1", approved())).await;
        self.payments(&bookings, |n| is_paid(n) && n % 20 == 16, |payment| attempt(payment, "2")).await;
        let not_done = || Outcome::NotDone { reason: "no answer".to_owned() };
        self.payments(&bookings, |n| is_paid(n) && n % 20 == 16, |payment| settle(payment, "2", not_done())).await;
        // We gave it up, and were wrong.
        self.payments(&bookings, |n| is_paid(n) && n % 60 == 16, |payment| settle(payment, "2", approved())).await;
        self.follow_up().await;
        self.many(&bookings, |n| n % 10 == 8, |_| BookingCommand::Expire).await;
        self.many(&bookings, |n| n % 15 == 1 || wanted[n].0 == doomed, cancel).await;
        self.journal.execute::<Concert>(doomed.0, ConcertCommand::Cancel, &by_a_fan()).await.unwrap();
        if round == 0 {
            self.request(sale, &[(doomed, 0, 1)]).await;
        }
        self.follow_up().await;
        self.payments(&bookings, |_| true, |_| PaymentCommand::Refunded).await;
        self.follow_up().await;
        sale.bookings.extend(bookings);
    }

    /// The saga works until nothing follows any more.
    pub async fn follow_up(&self) {
        let mut saga = Saga::resume(&self.journal).await.unwrap();
        while saga.position() < self.journal.position() {
            saga.step(saga::BATCH_EVENTS_MAX).await.unwrap();
        }
    }

    async fn by_simulator(&self, bookings: &[BookingId]) {
        let paid = stream::iter(bookings).map(|booking| async {
            let payment = PaymentId::of(*booking);
            if self.journal.load::<Payment>(payment.0).await.unwrap().state.status().is_none() {
                return false;
            }
            let attempt = AttemptId::derived(payment, "1");
            let approval = self.cashier.approve(payment, attempt, payment.to_string(), &by_a_fan()).await;
            matches!(approval, Ok(Approval::Approved { .. }))
        });
        let paid: Vec<bool> = paid.buffer_unordered(8).collect().await;
        assert!(paid.into_iter().any(|paid| paid), "nobody could pay");
    }

    async fn many(
        &self,
        bookings: &[BookingId],
        which: impl Fn(usize) -> bool,
        command: impl Fn(usize) -> BookingCommand,
    ) {
        let mut unit = self.journal.unit().await;
        for (n, booking) in bookings.iter().enumerate().filter(|(n, _)| which(*n)) {
            check(unit.execute::<Booking>(booking.0, command(n), &by_a_fan()).await);
        }
        commit(unit).await;
    }

    async fn payments(
        &self,
        bookings: &[BookingId],
        which: impl Fn(usize) -> bool,
        command: impl Fn(PaymentId) -> PaymentCommand,
    ) {
        let mut unit = self.journal.unit().await;
        for (_, booking) in bookings.iter().enumerate().filter(|(n, _)| which(*n)) {
            let payment = PaymentId::of(*booking);
            check(unit.execute::<Payment>(payment.0, command(payment), &by_a_fan()).await);
        }
        commit(unit).await;
    }

    /// Of each status how many payments there are among these.
    pub async fn paid(&self, bookings: &[BookingId]) -> usize {
        let mut paid = 0;
        for booking in bookings {
            let payment = self.journal.load::<Payment>(PaymentId::of(*booking).0).await.unwrap().state;
            paid += usize::from(payment.status() == Some(PaymentStatus::PaymentApproved));
        }
        paid
    }
}

/// A refusal is no matter: these commands are many, and not all of them fit.
fn check<E: std::error::Error>(outcome: Result<bool, ExecuteError<E>>) {
    match outcome {
        Ok(_) | Err(ExecuteError::Refused(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn commit(unit: UnitOfWork) {
    if unit.events() > 0 {
        unit.enqueue(None).await.unwrap().committed().await.unwrap();
    }
}

fn cancel(_: usize) -> BookingCommand {
    BookingCommand::Cancel { reason: CancelReason::ByFan }
}

fn attempt(payment: PaymentId, key: &str) -> PaymentCommand {
    let attempt_id = AttemptId::derived(payment, key);
    PaymentCommand::Attempt { attempt_id, payment_key: format!("key-{payment}"), now: Utc::now() }
}

fn settle(payment: PaymentId, key: &str, outcome: Outcome) -> PaymentCommand {
    PaymentCommand::Settle { attempt_id: AttemptId::derived(payment, key), outcome }
}

fn approved() -> Outcome {
    Outcome::Approved { approved_at: Utc::now(), payment_key: "key".to_owned() }
}

fn declined() -> Outcome {
    Outcome::Declined { code: "NO".to_owned(), message: "카드 한도 초과".to_owned() }
}
