//! `book`: everybody books one ticket of the same concert, and has it when the answer is there. `growth` is the same on a log
//! with a long past.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use uuid::Uuid;

use super::{Check, Round, Scenario, Stage, office::Booked};
use crate::{
    error::Error,
    grown::Past,
    load::{Ask, Connection, Load, Visit, drive},
};

/// Bookings, and what was said of them.
pub(super) struct Counter {
    asks: Vec<Ask>,
    /// Answered: held, and payment requested.
    booked: AtomicU64,
    /// Answered otherwise, or not at all.
    unclear: AtomicU64,
}

impl Counter {
    pub fn new(asks: Vec<Ask>) -> Self {
        Self { asks, booked: AtomicU64::new(0), unclear: AtomicU64::new(0) }
    }

    /// Books one ticket.
    pub async fn book(&self, connection: &mut Connection, buyer: usize) -> Result<Booked, Error> {
        let booked = self.try_book(connection, buyer).await;
        let count = if booked.is_ok() { &self.booked } else { &self.unclear };
        count.fetch_add(1, Ordering::Relaxed);
        booked
    }

    async fn try_book(&self, connection: &mut Connection, buyer: usize) -> Result<Booked, Error> {
        let answer = connection.send(&self.asks[buyer % self.asks.len()]).await?;
        let booked: Booked = answer.expect(201, "booking")?;
        match booked.payment_status.as_deref() {
            Some("PaymentRequested") => Ok(booked),
            _ => answer.expect(0, "booking, and no payment requested"),
        }
    }

    /// Booked, and unclear.
    pub fn counts(&self) -> (u64, u64) {
        (self.booked.load(Ordering::Relaxed), self.unclear.load(Ordering::Relaxed))
    }
}

impl Visit for Counter {
    async fn visit(&self, connection: &mut Connection, buyer: usize) -> Result<(), Error> {
        self.book(connection, buyer).await.map(|_| ())
    }
}

/// The scenario.
pub(super) struct Book {
    name: &'static str,
    concert: Uuid,
    /// Tickets sold before.
    sold: u64,
    counter: Arc<Counter>,
}

impl Book {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let concert = stage.office.concert("book").await?;
        Ok(Self::of("book", stage, concert, 0))
    }

    /// `growth`.
    pub fn after(past: Past, stage: &Stage) -> Self {
        Self::of("growth", stage, past.concert, past.sold)
    }

    fn of(name: &'static str, stage: &Stage, concert: Uuid, sold: u64) -> Self {
        Self { name, concert, sold, counter: Arc::new(Counter::new(stage.office.bookings_of(concert))) }
    }
}

impl Scenario for Book {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move { Ok(Round::of(drive(stage.product.address, stage.connections, &self.counter, load).await?)) }
            .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let position = stage.office.settled().await?.journal;
            let tickets = stage.office.tickets(self.concert, position).await?;
            let (booked, unclear) = self.counter.counts();
            Ok(vec![
                Check::acknowledged(format!("{}: tickets held", self.name), booked, unclear, tickets.held),
                Check::equal(format!("{}: tickets sold before", self.name), self.sold, tickets.sold),
            ])
        }
        .boxed()
    }
}
