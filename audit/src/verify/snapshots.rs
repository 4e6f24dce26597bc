//! Snapshots of aggregates, against the states that the log has led to.

use std::{collections::HashMap, fmt};

use aggregates::{AggregateType, BookingId, Concert, Counts, Event, Upcasters, concert::Allotment, concert::Terms};
use cqrs_es::Aggregate as _;
use journal::{Position, Sequence};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Breach, Check,
    check::Findings,
    records::{ConcertRecord, Sum},
};
use crate::{Error, Row, log::Copy};

/// The snapshots there are, and which of them have not been compared yet.
pub(super) struct Snapshots {
    waiting: HashMap<Uuid, Sequence>,
}

/// A concert as its snapshot says, its allotments only as a sum: there may be a million.
#[derive(Deserialize)]
struct Stored {
    terms: Option<Terms>,
    counts: Counts,
    canceled: bool,
    #[serde(deserialize_with = "summed")]
    allotments: Sum,
}

impl Snapshots {
    /// Those of concerts are compared when the log comes to them; of others there should be none.
    pub async fn list(connection: &mut PgConnection, findings: &mut Findings) -> Result<Self, Error> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT aggregate_type, aggregate_id, last_sequence FROM snapshots")
                .fetch_all(connection)
                .await?;
        let mut waiting = HashMap::with_capacity(rows.len());
        for (kind, id, sequence) in rows {
            findings.count(Check::Snapshots, 1);
            match id.parse::<Uuid>() {
                Ok(concert) if kind == AggregateType::Concert.as_str() => {
                    waiting.insert(concert, Sequence::from_sql(sequence));
                }
                Ok(_) | Err(_) => {
                    let expected = "no snapshot: only concerts have any";
                    let breach =
                        Breach::at(None, format!("{kind} {id}"), expected, format!("one at sequence {sequence}"));
                    findings.breach(Check::Snapshots, breach);
                }
            }
        }
        Ok(Self { waiting })
    }

    /// Whether the concert has just come to where its snapshot was taken.
    pub fn is_due(&self, concert: Uuid, sequence: Sequence) -> bool {
        !self.waiting.is_empty() && self.waiting.get(&concert) == Some(&sequence)
    }

    /// Compares the snapshot that is due with the state of the concert now.
    pub async fn compare(
        &mut self,
        connection: &mut PgConnection,
        id: Uuid,
        position: Position,
        record: &ConcertRecord,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let Some(sequence) = self.waiting.remove(&id) else { return Ok(()) };
        let text: String = sqlx::query_scalar(
            "SELECT payload::text FROM snapshots WHERE aggregate_type = 'concert' AND aggregate_id = $1",
        )
        .bind(id.to_string())
        .fetch_one(&mut *connection)
        .await?;
        let mut breach = |expected: String, found: String| {
            findings.breach(Check::Snapshots, Breach::of(position, AggregateType::Concert, id, expected, found));
        };
        let stored: Stored = match serde_json::from_str(&text) {
            Ok(stored) => stored,
            Err(error) => {
                breach(format!("a snapshot at sequence {sequence} that today's code reads"), error.to_string());
                return Ok(());
            }
        };
        let counted = (stored.counts.capacity.into(), stored.counts.held.into(), stored.counts.sold.into());
        let should = (record.capacity, record.held, record.sold);
        if counted != should {
            let of = |(capacity, held, sold): (i64, i64, i64)| format!("capacity {capacity}, held {held}, sold {sold}");
            breach(format!("{} in the snapshot at sequence {sequence}", of(should)), of(counted));
        }
        if stored.terms != record.terms || stored.canceled != record.canceled {
            let expected = format!("{:?}, cancelled: {}", record.terms, record.canceled);
            breach(expected, format!("{:?}, cancelled: {}", stored.terms, stored.canceled));
        }
        if stored.allotments != record.allotments {
            let (expected, found) = closer(connection, id, sequence, &text).await?;
            breach(expected, found);
        }
        Ok(())
    }

    /// What was never come to: the snapshot is of a state that the log does not have.
    pub fn finish(self, findings: &mut Findings) {
        for (id, sequence) in self.waiting {
            let expected = format!("an event of sequence {sequence}, of which there is a snapshot");
            findings.breach(Check::Snapshots, Breach::at(None, format!("concert {id}"), expected, "none"));
        }
    }
}

/// The first booking that the snapshot has otherwise than the log. Only looked for where there is one, so that it may cost
/// the memory of the whole concert.
async fn closer(
    connection: &mut PgConnection,
    id: Uuid,
    sequence: Sequence,
    text: &str,
) -> Result<(String, String), Error> {
    let condition =
        format!("aggregate_type = 'concert' AND aggregate_id = '{id}' AND sequence <= {sequence} ORDER BY sequence");
    let mut copy = Copy::of(connection, &condition).await?;
    let (mut concert, upcasters) = (Concert::default(), Upcasters::current());
    while let Some(message) = copy.next().await? {
        let Some(row) = Row::parse(&message)? else { continue };
        let event = Event::decode(&upcasters, AggregateType::Concert, row.event_type, row.event_version, row.payload);
        if let Ok(Event::Concert(event)) = event {
            concert.apply(event);
        }
    }
    let stored: Concert = serde_json::from_str(text)?;
    let shown = |allotment: Option<Allotment>| match allotment {
        Some(Allotment { qty, state, held_until }) => {
            let until = held_until.map_or_else(String::new, |until| format!(" until {until}"));
            format!("{} tickets, {state:?}{until}", qty.get())
        }
        None => "nothing".to_owned(),
    };
    let both = concert.allotments().chain(stored.allotments()).map(|(booking, _)| booking);
    let differs = both.into_iter().find(|booking| concert.allotment(*booking) != stored.allotment(*booking));
    Ok(match differs {
        Some(booking) => (
            format!(
                "booking {booking} with {} in the snapshot at sequence {sequence}",
                shown(concert.allotment(booking))
            ),
            shown(stored.allotment(booking)),
        ),
        None => (format!("the bookings of the log in the snapshot at sequence {sequence}"), "others".to_owned()),
    })
}

/// A map of allotments as their sum, read one by one.
fn summed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sum, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Sum;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("allotments by booking")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sum, A::Error> {
            let mut sum = Sum::default();
            while let Some((booking, allotment)) = map.next_entry::<BookingId, Allotment>()? {
                sum.add(booking, &allotment);
            }
            Ok(sum)
        }
    }

    deserializer.deserialize_map(Members)
}
