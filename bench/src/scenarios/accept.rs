//! `accept`: bookings are only accepted; the backlog is then drained, and that is counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use hyper::header::{HeaderName, HeaderValue};
use serde::de::IgnoredAny;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Check, Round, Scenario, Stage,
    office::{SETTLE_MAX, SETTLE_PAUSE},
};
use crate::{
    error::Error,
    load::{Ask, Connection, Load, Visit, drive},
};

/// Bookings that need not be carried out yet.
struct Accepting {
    asks: Vec<Ask>,
    accepted: AtomicU64,
    unclear: AtomicU64,
}

impl Visit for Accepting {
    async fn visit(&self, connection: &mut Connection, buyer: usize) -> Result<(), Error> {
        let answer = connection.send(&self.asks[buyer % self.asks.len()]).await;
        let accepted = answer.and_then(|answer| answer.expect::<IgnoredAny>(202, "booking"));
        let count = if accepted.is_ok() { &self.accepted } else { &self.unclear };
        count.fetch_add(1, Ordering::Relaxed);
        accepted.map(|_| ())
    }
}

/// The scenario.
pub(super) struct Accept {
    concert: Uuid,
    accepting: Arc<Accepting>,
}

impl Accept {
    pub async fn prepare(stage: &mut Stage) -> Result<Self, Error> {
        let concert = stage.office.concert("accept").await?;
        let prefer = (HeaderName::from_static("prefer"), HeaderValue::from_static("respond-async"));
        let asks =
            stage.office.bookings_of(concert).into_iter().map(|ask| ask.with(prefer.0.clone(), prefer.1.clone()));
        let accepting = Accepting { asks: asks.collect(), accepted: AtomicU64::new(0), unclear: AtomicU64::new(0) };
        Ok(Self { concert, accepting: Arc::new(accepting) })
    }

    /// Waits until tickets are held for everything that was accepted.
    async fn drained(&self, stage: &mut Stage) -> Result<(), Error> {
        let begin = Instant::now();
        let accepted = self.accepting.accepted.load(Ordering::Relaxed);
        loop {
            let held = stage.office.tickets(self.concert, 0).await?.held;
            if held >= accepted {
                return Ok(());
            }
            if begin.elapsed() > SETTLE_MAX {
                let so_far = format!("{held} of {accepted} held");
                return Err(Error::Waited { what: "accepted bookings to be held", max: SETTLE_MAX, state: so_far });
            }
            sleep(SETTLE_PAUSE).await;
        }
    }
}

impl Scenario for Accept {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move {
            let outcome = drive(stage.product.address, stage.connections, &self.accepting, load).await?;
            let answered = Instant::now();
            self.drained(stage).await?;
            Ok(Round { drain: Some(answered.elapsed()), ..Round::of(outcome) })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let position = stage.office.settled().await?.journal;
            let tickets = stage.office.tickets(self.concert, position).await?;
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (accepted, unclear) = (count(&self.accepting.accepted), count(&self.accepting.unclear));
            Ok(vec![Check::acknowledged("accept: tickets held", accepted, unclear, tickets.held)])
        }
        .boxed()
    }
}
