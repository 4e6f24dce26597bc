//! `lifecycle`: book, pay (the provider's simulator answers at once), until the tickets count as sold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Check, Round, Scenario, Stage,
    book::Counter,
    office::{Fan, Office},
};
use crate::{
    error::Error,
    load::{Ask, Connection, Load, Visit, drive},
};

/// Bookings that are paid.
pub(super) struct Buying {
    booking: Counter,
    fans: Vec<Fan>,
    approve: Ask,
    approved: AtomicU64,
    unclear: AtomicU64,
}

#[derive(Deserialize)]
struct Payment {
    status: String,
}

impl Buying {
    pub fn new(office: &Office, concert: Uuid) -> Self {
        Self {
            booking: Counter::new(office.bookings_of(concert)),
            fans: office.fans.clone(),
            approve: Ask::post("", &json!({})),
            approved: AtomicU64::new(0),
            unclear: AtomicU64::new(0),
        }
    }

    /// Approved, and unclear.
    pub fn counts(&self) -> (u64, u64) {
        (self.approved.load(Ordering::Relaxed), self.unclear.load(Ordering::Relaxed))
    }

    async fn approve(&self, connection: &mut Connection, buyer: usize, payment: Uuid) -> Result<(), Error> {
        let ask = self.approve.to(format!("/payments/{payment}/approve")).by(&self.fans[buyer % self.fans.len()].token);
        let answer = connection.send(&ask).await?;
        let Payment { status } = answer.expect(200, "paying")?;
        if status == "PaymentApproved" { Ok(()) } else { answer.expect(0, "paying, and not approved") }
    }
}

impl Visit for Buying {
    async fn visit(&self, connection: &mut Connection, buyer: usize) -> Result<(), Error> {
        let booked = self.booking.book(connection, buyer).await?;
        let approved = self.approve(connection, buyer, booked.payment_id).await;
        let count = if approved.is_ok() { &self.approved } else { &self.unclear };
        count.fetch_add(1, Ordering::Relaxed);
        approved
    }
}

/// The scenario.
pub(super) struct Lifecycle {
    concert: Uuid,
    buying: Arc<Buying>,
}

impl Lifecycle {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let concert = stage.office.concert("lifecycle").await?;
        let buying = Buying::new(&stage.office, concert);
        Ok(Self { concert, buying: Arc::new(buying) })
    }
}

impl Scenario for Lifecycle {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let outcome = drive(stage.product.address, stage.connections, &self.buying, load).await?;
            stage.office.sold(self.concert, self.buying.counts().0).await?;
            Ok(Round { took: outcome.began.map(|began| began.elapsed()), ..Round::of(outcome) })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let position = stage.office.settled().await?.journal;
            let tickets = stage.office.tickets(self.concert, position).await?;
            let (booked, unclear) = self.buying.booking.counts();
            let (approved, unpaid) = self.buying.counts();
            Ok(vec![
                Check::acknowledged("lifecycle: tickets sold", approved, unpaid, tickets.sold),
                Check::acknowledged("lifecycle: held and sold", booked, unclear, tickets.held + tickets.sold),
            ])
        }
        .boxed()
    }
}
