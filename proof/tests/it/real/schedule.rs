//! One schedule: a concert, some fans, and what they do, drawn from a seed. Whatever is not answered is asked again, as
//! clients do, under the same name.

use std::time::Duration;

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingId, Concert, ConcertCommand, ConcertId, Decide, Money, Payment,
    PaymentId, PaymentStatus, Qty, UserId,
    booking::{CancelReason, Request},
    concert::Register,
};
use journal::{ExecuteError, Metadata};
use payments::Approval;
use proof::Dice;
use uuid::Uuid;

use super::process::{CLIENT_WAIT_MAX, Processes, cut};

/// Things that happen in a schedule.
const MOVES: u64 = 14;
/// How often a client asks again, at most.
const TRIES_MAX: usize = 40;
/// A hold of so many seconds can be waited for.
const HOLD_SECONDS_SHORT: u32 = 5;
/// How long a client waits before it does.
const PAUSE: Duration = Duration::from_millis(50);

struct Fan {
    booking: BookingId,
    qty: Qty,
}

struct Schedule<'a> {
    dice: Dice,
    processes: &'a Processes,
    concert: ConcertId,
    hold_seconds: u32,
    fans: Vec<Fan>,
    metadata: Metadata,
}

/// Runs the schedule of `seed`, and leaves nothing behind that only a person could end.
pub async fn run(seed: u64, processes: &Processes) {
    let mut dice = Dice::new(seed);
    let concert = ConcertId(Uuid::from_u64_pair(seed, dice.any()));
    let metadata = Metadata::of_request("proof", &format!("seed-{seed}"));
    let hold_seconds = dice.one_of([2, HOLD_SECONDS_SHORT, 60]);
    let mut schedule = Schedule { dice, processes, concert, hold_seconds, fans: Vec::new(), metadata };
    schedule.open_concert().await;
    let patience = schedule.dice.one_of([true, true, false]);
    for _ in 0..MOVES {
        schedule.any_move(patience).await;
    }
    schedule.give_up().await;
}

impl Schedule<'_> {
    async fn open_concert(&mut self) {
        let terms = Register {
            concert_id: self.concert,
            organizer_id: UserId(Uuid::nil()),
            name: "Autumn".to_owned(),
            venue: None,
            starts_at: None,
            capacity: self.dice.one_of([2, 4, 8]),
            price: Money::krw(1_000 + self.dice.below(9_000)),
            max_per_booking: None,
            hold_seconds: self.hold_seconds,
        };
        self.insist::<Concert>(self.concert.0, ConcertCommand::Register(terms)).await;
    }

    /// `patience`: whoever pays waits until there is something to be paid.
    async fn any_move(&mut self, patience: bool) {
        match self.dice.below(20) {
            0..5 => self.book().await,
            5..15 => self.pay(patience).await,
            15..17 => {
                let reason = self.dice.one_of([CancelReason::ByFan, CancelReason::ByOrganizer]);
                if let Some(booking) = self.somebody() {
                    self.insist::<Booking>(booking.0, BookingCommand::Cancel { reason }).await;
                }
            }
            17 => {
                let capacity = self.dice.one_of([2, 4, 8]);
                self.insist::<Concert>(self.concert.0, ConcertCommand::ChangeCapacity { capacity }).await;
            }
            18 if self.dice.falls(200) => self.insist::<Concert>(self.concert.0, ConcertCommand::Cancel).await,
            _ => tokio::task::yield_now().await,
        }
    }

    fn somebody(&mut self) -> Option<BookingId> {
        let place = self.dice.place(self.fans.len());
        self.fans.get(place).map(|fan| fan.booking)
    }

    async fn book(&mut self) {
        let (booking_id, qty) = if self.fans.len() > 3 || (self.dice.falls(150) && !self.fans.is_empty()) {
            // The same request again is no second booking.
            let fan = &self.fans[self.dice.place(self.fans.len())];
            (fan.booking, fan.qty)
        } else {
            let (booking, qty) =
                (BookingId(Uuid::from_u64_pair(self.dice.any(), self.dice.any())), self.dice.one_of([1, 2]));
            let qty = Qty::new(qty).unwrap();
            self.fans.push(Fan { booking, qty });
            (booking, qty)
        };
        let request = Request { booking_id, concert_id: self.concert, user_id: UserId(booking_id.0), qty };
        self.insist::<Booking>(booking_id.0, BookingCommand::Request(request)).await;
    }

    async fn pay(&mut self, patience: bool) {
        let Some(booking) = self.somebody() else { return };
        let payment = PaymentId::of(booking);
        if patience {
            self.wait_for_the_bill(booking).await;
        }
        let name = self.dice.one_of(["1", "1", "2", "decline"]);
        let (attempt, payment_key) = (AttemptId::derived(payment, name), format!("{name}-{payment}"));
        for _ in 0..self.dice.one_of([1, 1, 3]) {
            // Perhaps the process dies on the way; perhaps somebody clicks at the same time.
            let polls = if self.dice.falls(250) { 1 + self.dice.below(8) } else { u64::MAX };
            let processes = [self.process(), self.process()];
            let clicks = if self.dice.falls(200) { 2 } else { 1 };
            let tries = processes[..clicks].iter().map(|process| {
                let work = process.cashier.approve(payment, attempt, payment_key.clone(), &self.metadata);
                tokio::time::timeout(CLIENT_WAIT_MAX, cut(work, polls))
            });
            let outcomes = futures::future::join_all(tries).await;
            let settled = |outcome: &Option<_>| {
                matches!(outcome, Some(Ok(Approval::Approved { .. } | Approval::Declined { .. })))
            };
            if outcomes.into_iter().flatten().any(|outcome| settled(&outcome)) {
                return;
            }
        }
    }

    /// Until there is a payment, or there will be none.
    async fn wait_for_the_bill(&mut self, booking: BookingId) {
        for _ in 0..TRIES_MAX {
            let process = self.process();
            let state = process.journal.load::<Booking>(booking.0).await;
            let payment = process.journal.load::<Payment>(PaymentId::of(booking).0).await;
            let over = state.is_ok_and(|loaded| !loaded.state.is_live());
            if over || payment.is_ok_and(|loaded| loaded.state.status().is_some()) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whoever has not paid by now, and would be waited for, calls it off. Most holds are short and end by themselves.
    async fn give_up(&mut self) {
        let bookings: Vec<_> = self.fans.iter().map(|fan| fan.booking).collect();
        for booking in bookings {
            let payment = self.payment(booking).await;
            let unpaid = matches!(payment.status(), None | Some(PaymentStatus::PaymentRequested));
            let was_put_off = payment.expires_at() != payment.request().map(|request| request.expires_at);
            if unpaid && (self.hold_seconds > HOLD_SECONDS_SHORT || was_put_off) {
                self.insist::<Booking>(booking.0, BookingCommand::Cancel { reason: CancelReason::ByFan }).await;
            }
        }
    }

    /// The payment as it is by now, whoever wrote it.
    async fn payment(&mut self, booking: BookingId) -> Payment {
        for _ in 0..TRIES_MAX {
            let journal = self.process().journal;
            let newest = async {
                let last = journal::last_position(journal.pool()).await?;
                journal.reached(last).await;
                journal.load::<Payment>(PaymentId::of(booking).0).await
            };
            match tokio::time::timeout(CLIENT_WAIT_MAX, newest).await {
                Ok(Ok(loaded)) => return loaded.state,
                Ok(Err(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        panic!("a payment could not be read");
    }

    fn process(&mut self) -> super::process::Process {
        self.processes.any(self.dice.place(2))
    }

    /// Asks until there is an answer, be it a refusal.
    async fn insist<A: Decide>(&mut self, id: Uuid, command: A::Command) {
        for _ in 0..TRIES_MAX {
            let process = self.process();
            let polls = if self.dice.falls(100) { 1 + self.dice.below(4) } else { u64::MAX };
            let work = process.journal.execute::<A>(id, command.clone(), &self.metadata);
            match tokio::time::timeout(CLIENT_WAIT_MAX, cut(work, polls)).await {
                Ok(Some(Ok(_) | Err(ExecuteError::Refused(_)))) => return,
                Ok(Some(Err(ExecuteError::Append(_) | ExecuteError::Read(_))) | None) | Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        panic!("a client never got an answer");
    }
}
