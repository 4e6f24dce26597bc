//! `lifecycle`: book, pay (the provider's simulator answers at once), until the tickets count as sold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Check, Round, Scenario, Stage, book::Counter};
use crate::{
    error::Error,
    load::{Ask, Connection, Load, Visit, drive},
};

/// Bookings that are paid.
struct Buying {
    booking: Counter,
    fans: Vec<HeaderValue>,
    approve: Ask,
    approved: AtomicU64,
    unclear: AtomicU64,
}

#[derive(Deserialize)]
struct Payment {
    status: String,
}

impl Buying {
    async fn approve(&self, connection: &mut Connection, buyer: usize, payment: Uuid) -> Result<(), Error> {
        let ask = self.approve.to(format!("/payments/{payment}/approve")).by(&self.fans[buyer % self.fans.len()]);
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
        let buying = Buying {
            booking: Counter::new(stage.office.bookings_of(concert)),
            fans: stage.office.fans.clone(),
            approve: Ask::post("", &json!({})),
            approved: AtomicU64::new(0),
            unclear: AtomicU64::new(0),
        };
        Ok(Self { concert, buying: Arc::new(buying) })
    }
}

impl Scenario for Lifecycle {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let outcome = drive(stage.product.address, stage.connections, &self.buying, load).await?;
            Ok(Round { outcome, drain: None })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let position = stage.office.settled().await?.journal;
            let tickets = stage.office.tickets(self.concert, position).await?;
            let (booked, unclear) = self.buying.booking.counts();
            let approved = self.buying.approved.load(Ordering::Relaxed);
            let unpaid = self.buying.unclear.load(Ordering::Relaxed);
            Ok(vec![
                Check::acknowledged("lifecycle: tickets sold", approved, unpaid, tickets.sold),
                Check::acknowledged("lifecycle: held and sold", booked, unclear, tickets.held + tickets.sold),
            ])
        }
        .boxed()
    }
}
