//! `book`: everybody books one ticket of the same concert, and has it when the answer is there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use uuid::Uuid;

use super::{Check, Round, Scenario, Stage, office::Booked};
use crate::{
    error::Error,
    load::{Ask, Connection, Load, Visit, drive},
};

/// Bookings, and what was said of them.
pub(super) struct Counter {
    asks: Vec<Ask>,
    /// Answered: held, and payment requested.
    pub booked: AtomicU64,
    /// Answered otherwise, or not at all.
    pub unclear: AtomicU64,
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
    concert: Uuid,
    counter: Arc<Counter>,
}

impl Book {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let concert = stage.office.concert("book").await?;
        Ok(Self { concert, counter: Arc::new(Counter::new(stage.office.bookings_of(concert))) })
    }
}

impl Scenario for Book {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let outcome = drive(stage.product.address, stage.connections, &self.counter, load).await?;
            Ok(Round { outcome, drain: None })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let position = stage.office.settled().await?.journal;
            let tickets = stage.office.tickets(self.concert, position).await?;
            let (booked, unclear) = self.counter.counts();
            Ok(vec![Check::acknowledged("book: tickets held", booked, unclear, tickets.held)])
        }
        .boxed()
    }
}
