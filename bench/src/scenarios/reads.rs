//! `reads-concert` and `reads-history`: a concert with its counts, and the history of somebody with a few bookings.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use hyper::header::HeaderName;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use uuid::Uuid;

use super::{
    Check, Round, Scenario, Stage,
    office::{Booked, Tickets},
};
use crate::{
    error::Error,
    load::{Ask, Connection, Load, Visit, drive},
};

/// Bookings of the one who looks.
const BOOKINGS: usize = 3;

/// The same question again and again.
struct Reading {
    ask: Ask,
    /// Bytes of the answer, which does not change.
    bytes: usize,
    read: AtomicU64,
}

impl Visit for Reading {
    async fn visit(&self, connection: &mut Connection, _: usize) -> Result<(), Error> {
        let answer = connection.send(&self.ask).await?;
        if answer.status.as_u16() != 200 || answer.body.len() != self.bytes {
            return answer.expect::<IgnoredAny>(0, "reading").map(|_| ());
        }
        self.read.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The scenario.
pub(super) struct Reads {
    name: &'static str,
    reading: Arc<Reading>,
    /// What the answer says, and what it should.
    says: (String, String),
}

impl Reads {
    /// Books a few tickets, and waits until they can be read.
    async fn past(stage: &mut Stage, name: &str) -> Result<(Uuid, Ask, Vec<Uuid>, u64), Error> {
        let concert = stage.office.concert(name).await?;
        let fan = stage.office.fan(name).await?;
        let ask = Ask::post("/bookings", &json!({ "concertId": concert, "qty": 1 })).by(&fan.token);
        let mut bookings = Vec::new();
        for _ in 0..BOOKINGS {
            bookings.push(stage.office.send(&ask).await?.expect::<Booked>(201, "booking")?.booking_id);
        }
        let position = stage.office.settled().await?.journal;
        Ok((concert, Ask::get(format!("/bookingHistories/{}", fan.id)).by(&fan.token), bookings, position))
    }

    /// `reads-concert`.
    pub async fn concert(stage: &mut Stage) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Concert {
            tickets: Tickets,
        }
        let name = "reads-concert";
        let (concert, _, bookings, position) = Self::past(stage, name).await?;
        let ask = Ask::get(format!("/concerts/{concert}"));
        Self::of(stage, name, ask, position, |answer: Concert| {
            (format!("{} held", answer.tickets.held), format!("{} held", bookings.len()))
        })
        .await
    }

    /// `reads-history`.
    pub async fn history(stage: &mut Stage) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            booking_id: Uuid,
        }
        let name = "reads-history";
        let (_, ask, mut bookings, position) = Self::past(stage, name).await?;
        bookings.reverse();
        Self::of(stage, name, ask, position, |answer: Vec<Entry>| {
            let listed: Vec<Uuid> = answer.into_iter().map(|entry| entry.booking_id).collect();
            (format!("{listed:?}"), format!("{bookings:?}"))
        })
        .await
    }

    async fn of<T: serde::de::DeserializeOwned>(
        stage: &mut Stage,
        name: &'static str,
        ask: Ask,
        position: u64,
        says: impl FnOnce(T) -> (String, String),
    ) -> Result<Self, Error> {
        let first = ask.clone().with(HeaderName::from_static("boxoffice-min-position"), position.into());
        let answer = stage.office.send(&first).await?;
        let says = says(answer.expect(200, name)?);
        let reading = Reading { ask, bytes: answer.body.len(), read: AtomicU64::new(0) };
        Ok(Self { name, reading: Arc::new(reading), says })
    }
}

impl Scenario for Reads {
    fn round<'a>(&'a mut self, stage: &'a mut Stage, load: Load) -> BoxFuture<'a, Result<Round, Error>> {
        async move { Ok(Round::of(drive(stage.product.address, stage.connections, &self.reading, load).await?)) }
            .boxed()
    }

    fn checks<'a>(&'a self, _: &'a mut Stage) -> BoxFuture<'a, Result<Vec<Check>, Error>> {
        let (found, expected) = self.says.clone();
        let read = self.reading.read.load(Ordering::Relaxed);
        let checks = vec![
            Check { what: format!("{}: what is read", self.name), holds: found == expected, expected, found },
            Check {
                what: format!("{}: answers of the same {} bytes", self.name, self.reading.bytes),
                expected: "some".to_owned(),
                found: read.to_string(),
                holds: read > 0,
            },
        ];
        async move { Ok(checks) }.boxed()
    }
}
