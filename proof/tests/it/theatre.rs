//! A stage for races: two processes over one database, a provider behind doors, and no office that works by itself.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use aggregates::{
    AttemptId, Booking, BookingCommand, BookingId, BookingStatus, Concert, ConcertCommand, ConcertId, Counts, Money,
    Payment, PaymentId, Qty, UserId,
    booking::{CancelReason, Request},
    concert::Register,
};
use chrono::Utc;
use journal::{Journal, JournalOptions, Metadata};
use payments::{
    Approval, ApproveError, Cashier, GuardOptions,
    due::{Attendant, CHECKPOINT, Notes},
    simulator::{self, Simulator},
};
use saga::{Cancellations, Deadlines, Saga};
use stack::{
    Postgres,
    testing::{Door, eventually},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{adapter, gated::Gated, real::books};

/// Tickets there are.
pub const CAPACITY: u32 = 4;
/// Tickets that are booked.
const QTY: u32 = 2;
/// What follows from what, at most: a payment, its refund, and the release of the tickets.
const ROUNDS: usize = 5;

pub type Paying = JoinHandle<Result<Approval, ApproveError>>;

/// What all races of a test share: two processes over one database, and a provider.
pub struct House {
    journal: Journal,
    elsewhere: Journal,
    simulator: Simulator,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    _postgres: Postgres,
}

/// One booking in it.
pub struct Theatre<'a> {
    house: &'a House,
    /// Where bookings are made, and the offices work.
    journal: Journal,
    pub gated: Arc<Gated>,
    booking: BookingId,
    concert: ConcertId,
    /// Where is paid: in the other process.
    cashier: Cashier,
    /// The provider's counts before.
    before: simulator::Counts,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub charged: u64,
    pub refunded: u64,
    pub tickets: Counts,
}

impl House {
    pub async fn open() -> Self {
        let postgres = Postgres::temp().await.unwrap();
        let open = async || Journal::open(postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap();
        let (journal, elsewhere) = (open().await, open().await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (simulator, stop) = (Simulator::new(), CancellationToken::new());
        let serving = tokio::spawn(simulator::serve(listener, simulator.clone(), stop.clone()));
        Self { journal, elsewhere, simulator, address, stop, serving, _postgres: postgres }
    }

    /// A booking whose tickets are held for so long, and that can be paid.
    pub async fn theatre(&self, hold_seconds: u32) -> Theatre<'_> {
        let gated = Arc::new(Gated::new(adapter(self.address)));
        let cashier = Cashier::new(self.elsewhere.clone(), Arc::clone(&gated) as _, GuardOptions::default());
        let (concert, booking) = (ConcertId(Uuid::now_v7()), BookingId(Uuid::now_v7()));
        let (journal, before) = (self.journal.clone(), self.simulator.counts());
        let theatre = Theatre { house: self, journal, gated, booking, concert, cashier, before };
        theatre.book(hold_seconds).await;
        theatre
    }

    pub async fn close(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
        self.journal.close().await;
        self.elsewhere.close().await;
    }
}

impl Theatre<'_> {
    async fn book(&self, hold_seconds: u32) {
        let terms = Register {
            concert_id: self.concert,
            organizer_id: UserId(Uuid::nil()),
            name: "Autumn".to_owned(),
            venue: None,
            starts_at: None,
            capacity: CAPACITY,
            price: Money::krw(55_000),
            max_per_booking: None,
            hold_seconds,
        };
        let register = ConcertCommand::Register(terms);
        self.journal.execute::<Concert>(self.concert.0, register, &metadata()).await.unwrap();
        let (booking_id, qty) = (self.booking, Qty::new(QTY).unwrap());
        let request = Request { booking_id, concert_id: self.concert, user_id: UserId(Uuid::nil()), qty };
        self.journal.execute::<Booking>(booking_id.0, BookingCommand::Request(request), &metadata()).await.unwrap();
        self.react().await;
    }

    fn payment(&self) -> PaymentId {
        PaymentId::of(self.booking)
    }

    /// Somebody pays, in the other process.
    pub fn pay(&self, payment_key: &str) -> Paying {
        let (cashier, payment) = (self.cashier.clone(), self.payment());
        let key = format!("{payment_key}-{payment}");
        let attempt = AttemptId::derived(payment, "1");
        tokio::spawn(async move { cashier.approve(payment, attempt, key, &metadata()).await })
    }

    /// Somebody pays, and stands before a door.
    pub async fn pay_until(&self, door: &Door, payment_key: &str) -> Paying {
        door.shut();
        let paying = self.pay(payment_key);
        door.somebody().await;
        self.meet().await;
        paying
    }

    /// The fan cancels. Returns whether that had an effect.
    pub async fn cancel(&self) -> bool {
        let cancel = BookingCommand::Cancel { reason: CancelReason::ByFan };
        let done = self.journal.execute::<Booking>(self.booking.0, cancel, &metadata()).await.unwrap().changed;
        self.meet().await;
        done
    }

    /// The organizer calls the concert off, and its bookings with it.
    pub async fn call_off(&self) {
        self.journal.execute::<Concert>(self.concert.0, ConcertCommand::Cancel, &metadata()).await.unwrap();
        self.meet().await;
        Cancellations::resume(&self.journal).await.unwrap().step().await.unwrap();
    }

    /// The saga reacts to what there is now, and not to what follows from that.
    pub async fn react_once(&self) {
        self.meet().await;
        let head = self.journal.position();
        let mut saga = Saga::resume(&self.journal).await.unwrap();
        while saga.position() < head {
            saga.step(1).await.unwrap();
        }
        self.meet().await;
    }

    /// The saga reacts to everything there is.
    pub async fn react(&self) {
        self.meet().await;
        let mut saga = Saga::resume(&self.journal).await.unwrap();
        while saga.position() < self.journal.position() {
            saga.step(64).await.unwrap();
        }
        self.meet().await;
    }

    /// The time to pay passes, and whoever ends holds looks.
    pub async fn expire(&self) {
        let payment = self.journal.load::<Payment>(self.payment().0).await.unwrap().state;
        let at = payment.expires_at().unwrap();
        eventually("the deadline to pass", Duration::from_secs(30), || async { at <= Utc::now() }).await;
        Deadlines::resume(&self.journal).await.unwrap().round().await.unwrap();
        self.meet().await;
    }

    pub async fn status(&self) -> BookingStatus {
        self.meet().await;
        self.journal.load::<Booking>(self.booking.0).await.unwrap().state.status().unwrap()
    }

    /// How often the provider was asked.
    pub fn calls(&self) -> u64 {
        self.house.simulator.counts().calls - self.before.calls
    }

    /// Everything that follows, follows; then the log and the provider's books must agree.
    pub async fn end(self) -> End {
        let pool = self.journal.pool();
        let attendant = Attendant::new(self.journal.clone(), Arc::clone(&self.gated) as _);
        for _ in 0..ROUNDS {
            self.react().await;
            let mut notes = Notes::resume(&self.journal).await.unwrap();
            while journal::checkpoint(pool, CHECKPOINT).await.unwrap() < self.journal.position() {
                notes.step().await.unwrap();
            }
            sqlx::query("UPDATE payment_work SET due_at = now()").execute(pool).await.unwrap();
            attendant.round().await.unwrap();
        }
        let now = self.house.simulator.counts();
        books::check(pool, &self.gated.toss, now).await;
        let (charged, refunded) = (now.charged - self.before.charged, now.refunded - self.before.refunded);
        let tickets = self.journal.load::<Concert>(self.concert.0).await.unwrap().state.counts();
        End { charged, refunded, tickets }
    }

    /// Each process has seen what the other wrote.
    async fn meet(&self) {
        let last = journal::last_position(self.journal.pool()).await.unwrap();
        self.journal.reached(last).await;
        self.house.elsewhere.reached(last).await;
    }
}

fn metadata() -> Metadata {
    Metadata::of_request("race", "r1")
}
