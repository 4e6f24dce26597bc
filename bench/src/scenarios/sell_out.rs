//! `sell-out`: a concert is put on sale, more want tickets than there are, and everybody is told. A round lasts until then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Check, Round, Scenario, Stage,
    office::{Fan, SETTLE_MAX},
};
use crate::{
    error::Error,
    load::{Answer, Ask, Connection, Load, Pace, Visit, drive},
};

/// Nobody waits longer.
const SELL_OUT_MAX: Duration = Duration::from_mins(10);
/// How often one whose booking is still in progress looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Buyers of one concert.
struct Buyers {
    asks: Vec<Ask>,
    fans: Vec<Fan>,
    held: AtomicU64,
    refused: AtomicU64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    booking_id: Uuid,
    status: String,
    payment_status: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    r#type: String,
}

impl Buyers {
    /// Whether the buyer got a ticket, once that is known.
    async fn buy(&self, connection: &mut Connection, buyer: usize) -> Result<bool, Error> {
        let mut answer = connection.send(&self.asks[buyer % self.asks.len()]).await?;
        if answer.status.as_u16() == 409 {
            return sold_out(&answer);
        }
        if answer.status.as_u16() == 202 {
            let Asked { booking_id, .. } = answer.expect(202, "booking")?;
            let look = Ask::get(format!("/bookings/{booking_id}")).by(&self.fans[buyer % self.fans.len()].token);
            let begin = Instant::now();
            loop {
                answer = connection.send(&look).await?;
                let asked: Asked = answer.expect(200, "looking again")?;
                if asked.status == "BookingRejected" {
                    return Ok(false);
                }
                if asked.payment_status.is_some() {
                    return Ok(true);
                }
                if begin.elapsed() > SETTLE_MAX {
                    return answer.expect(0, "looking again, and no end of it");
                }
                sleep(LOOK_AGAIN).await;
            }
        }
        let asked: Asked = answer.expect(201, "booking")?;
        if asked.payment_status.as_deref() == Some("PaymentRequested") { Ok(true) } else { answer.expect(0, "booking") }
    }
}

/// `false`, or the error where it is refused for another reason.
fn sold_out(answer: &Answer) -> Result<bool, Error> {
    let problem: Problem = answer.expect(409, "booking")?;
    if problem.r#type.ends_with("sold-out") { Ok(false) } else { answer.expect(0, "booking") }
}

impl Visit for Buyers {
    async fn visit(&self, connection: &mut Connection, buyer: usize) -> Result<(), Error> {
        let count = if self.buy(connection, buyer).await? { &self.held } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The scenario.
pub(super) struct SellOut {
    tickets: u64,
    buyers: u64,
    sales: Vec<(Uuid, Arc<Buyers>)>,
}

impl SellOut {
    /// Of so many tickets; of six buyers one comes too late.
    pub fn new(tickets: u64) -> Self {
        Self { tickets, buyers: tickets + tickets.div_ceil(5), sales: Vec::new() }
    }
}

impl Scenario for SellOut {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, _: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let concert = stage.office.concert_of("sell-out", self.tickets).await?;
            let (asks, fans) = (stage.office.bookings_of(concert), stage.office.fans.clone());
            let buyers = Arc::new(Buyers { asks, fans, held: AtomicU64::new(0), refused: AtomicU64::new(0) });
            self.sales.push((concert, Arc::clone(&buyers)));
            let load = Load { pace: Pace::Closed, lasts: SELL_OUT_MAX, times: Some(self.buyers) };
            let outcome = drive(stage.product.address, stage.connections, &buyers, load).await?;
            Ok(Round { took: outcome.began.map(|began| began.elapsed()), ..Round::of(outcome) })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let position = stage.office.settled().await?.journal;
            let mut checks = Vec::new();
            for (number, (concert, buyers)) in (1..).zip(&self.sales) {
                let tickets = stage.office.tickets(*concert, position).await?;
                let told = buyers.held.load(Ordering::Relaxed);
                let refused = buyers.refused.load(Ordering::Relaxed);
                let of = |what: &str| format!("sell-out {number}: {what}");
                checks.push(Check::equal(of("tickets held"), self.tickets, tickets.held));
                checks.push(Check::equal(of("buyers told that they have one"), self.tickets, told));
                checks.push(Check::equal(of("buyers told that there are none"), self.buyers - self.tickets, refused));
            }
            Ok(checks)
        }
        .boxed()
    }
}
