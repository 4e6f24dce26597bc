//! `many`: the load of `book`, spread over many concerts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use uuid::Uuid;

use super::{Check, Round, Scenario, Stage, book::Counter};
use crate::{
    error::Error,
    load::{Connection, Load, Visit, drive},
};

/// Each booking is of the next concert.
struct Everywhere {
    counter: Counter,
    turn: AtomicUsize,
}

impl Visit for Everywhere {
    async fn visit(&self, connection: &mut Connection, _: usize) -> Result<(), Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.counter.book(connection, turn).await.map(|_| ())
    }
}

/// The scenario.
pub(super) struct Many {
    concerts: Vec<Uuid>,
    everywhere: Arc<Everywhere>,
}

impl Many {
    pub async fn prepare(stage: &mut Stage, concerts: usize) -> Result<Self, Error> {
        let mut ids = Vec::with_capacity(concerts);
        let mut asks = Vec::with_capacity(concerts);
        for number in 0..concerts {
            let id = stage.office.concert(&format!("one of many {number}")).await?;
            let of_fans = stage.office.bookings_of(id);
            asks.push(of_fans[number % of_fans.len()].clone());
            ids.push(id);
        }
        let everywhere = Everywhere { counter: Counter::new(asks), turn: AtomicUsize::new(0) };
        Ok(Self { concerts: ids, everywhere: Arc::new(everywhere) })
    }
}

impl Scenario for Many {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move { Ok(Round::of(drive(stage.product.address, stage.connections, &self.everywhere, load).await?)) }
            .boxed()
    }

    fn checks<'a>(&'a self, stage: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        async move {
            let position = stage.office.settled().await?.journal;
            let (mut held, mut most, mut least) = (0, 0, u64::MAX);
            for concert in &self.concerts {
                let tickets = stage.office.tickets(*concert, position).await?.held;
                held += tickets;
                (most, least) = (most.max(tickets), least.min(tickets));
            }
            let (booked, unclear) = self.everywhere.counter.counts();
            let spread = Check {
                what: "many: bookings of the most and the least booked concert".to_owned(),
                expected: format!("at most {} apart", 1 + unclear),
                found: format!("{most} and {least}"),
                holds: most - least <= 1 + unclear,
            };
            Ok(vec![Check::acknowledged("many: tickets held", booked, unclear, held), spread])
        }
        .boxed()
    }
}
