//! The pattern of a booking that was paid and sold: its rows as text, with gaps for what differs.

use std::fmt::Write as _;

use aggregates::{BookingId, PaymentId};
use serde::Deserialize;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::{
    error::Error,
    load::Ask,
    product::Product,
    scenarios::{Booked, Office},
};

/// What a booking leaves in the log until its tickets are sold, in this order.
pub(super) const EVENT_TYPES: [&str; 7] = [
    "BookingRequested",
    "TicketsHeld",
    "PaymentRequested",
    "PaymentAttempted",
    "PaymentApproved",
    "BookingApproved",
    "TicketsSold",
];

/// What differs from booking to booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Booking,
    Payment,
    Concert,
    Fan,
    /// The try to pay, and the money's name, which are the same id.
    Attempt,
    /// The requests to book and to pay.
    Request(usize),
    /// Units of work, one an event.
    Unit(usize),
    /// The position of an event of the same booking.
    Position(usize),
}

/// Text, and the gap after it.
struct Part {
    text: String,
    gap: Option<Gap>,
}

/// An event's row.
struct RowPattern {
    /// `aggregate_type`, `aggregate_id`.
    head: Vec<Part>,
    /// `event_type`, `event_version`, `payload`, `metadata`.
    tail: Vec<Part>,
    of_concert: bool,
    /// Where it is not the concert's.
    sequence: i64,
}

/// All rows of a booking.
pub(super) struct Pattern {
    rows: Vec<RowPattern>,
}

/// Who a booking is of.
pub(super) struct Of {
    pub concert: Uuid,
    pub fan: Uuid,
    /// The concert's events so far.
    pub concert_sequence: i64,
    /// The position before its first event.
    pub base: i64,
}

#[derive(sqlx::FromRow)]
struct Stored {
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    event_type: String,
    event_version: String,
    payload: String,
    metadata: String,
    position: i64,
}

#[derive(Deserialize)]
struct Metadata {
    correlation: String,
    unit: String,
}

impl Pattern {
    /// Books and pays, and looks at what that has left.
    pub async fn take(product: &Product, office: &mut Office) -> Result<Self, Error> {
        let concert = office.concert("pattern").await?;
        let fan = office.fans[0].clone();
        let booked: Booked = office.send(&office.bookings_of(concert)[0].clone()).await?.expect(201, "booking")?;
        let pay = Ask::post(format!("/payments/{}/approve", booked.payment_id), &json!({})).by(&fan.token);
        let _paid: serde_json::Value = office.send(&pay).await?.expect(200, "paying")?;
        office.sold(concert, 1).await?;
        let mut connection = PgConnection::connect(product.setting("DATABASE_URL")?).await?;
        let rows: Vec<Stored> = sqlx::query_as(
            "SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text AS payload,
                    metadata::text AS metadata, position
             FROM events WHERE payload::text LIKE '%' || $1 || '%' ORDER BY position",
        )
        .bind(booked.booking_id.to_string())
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        if !rows.iter().map(|row| row.event_type.as_str()).eq(EVENT_TYPES) {
            return Err(Error::NoSample("full life"));
        }
        if PaymentId::of(BookingId(booked.booking_id)).0 != booked.payment_id {
            return Err(Error::NoSample("derived payment"));
        }
        Self::of(&rows, &booked, concert, fan.id)
    }

    fn of(rows: &[Stored], booked: &Booked, concert: Uuid, fan: Uuid) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Attempted {
            attempt_id: String,
        }
        let wrong = |_| Error::NoSample("metadata that we know");
        let mut known = vec![
            (booked.booking_id.to_string(), Gap::Booking),
            (booked.payment_id.to_string(), Gap::Payment),
            (concert.to_string(), Gap::Concert),
            (fan.to_string(), Gap::Fan),
        ];
        let mut requests: Vec<String> = Vec::new();
        for (nth, row) in rows.iter().enumerate() {
            let Metadata { correlation, unit } = serde_json::from_str(&row.metadata).map_err(wrong)?;
            known.push((unit, Gap::Unit(nth)));
            known.push((format!("\"event:{}\"", row.position), Gap::Position(nth)));
            if !requests.contains(&correlation) {
                known.push((correlation.clone(), Gap::Request(requests.len())));
                requests.push(correlation);
            }
            if row.event_type == "PaymentAttempted" {
                let payload: std::collections::HashMap<String, Attempted> =
                    serde_json::from_str(&row.payload).map_err(wrong)?;
                known.extend(payload.into_values().map(|attempt| (attempt.attempt_id, Gap::Attempt)));
            }
        }
        let rows = rows.iter().map(|row| RowPattern {
            head: cut(&format!("{}\t{}\t", row.aggregate_type, row.aggregate_id), &known),
            tail: cut(
                &format!(
                    "\t{}\t{}\t{}\t{}\t",
                    row.event_type,
                    row.event_version,
                    for_copy(&row.payload),
                    for_copy(&row.metadata)
                ),
                &known,
            ),
            of_concert: row.aggregate_type == "concert",
            sequence: row.sequence,
        });
        Ok(Self { rows: rows.collect() })
    }

    /// Events of one booking.
    pub fn events(&self) -> i64 {
        i64::try_from(self.rows.len()).unwrap_or(i64::MAX)
    }

    /// Events of one booking that are its concert's.
    pub fn concert_events(&self) -> i64 {
        i64::try_from(self.rows.iter().filter(|row| row.of_concert).count()).unwrap_or(i64::MAX)
    }

    /// Writes the rows of a new booking in the text form of `COPY`; `recorded_at` gives that column by the event's place.
    pub fn write(&self, out: &mut String, of: &Of, recorded_at: impl Fn(i64) -> String) {
        let booking = Uuid::now_v7();
        let ids = Ids {
            booking,
            payment: PaymentId::of(BookingId(booking)).0,
            attempt: Uuid::now_v7(),
            requests: [Uuid::now_v7(), Uuid::now_v7()],
        };
        let mut concert_sequence = of.concert_sequence;
        for (nth, row) in (1..).zip(&self.rows) {
            let position = of.base + nth;
            let sequence = if row.of_concert {
                concert_sequence += 1;
                concert_sequence
            } else {
                row.sequence
            };
            fill(out, &row.head, &ids, of);
            // Writing to a string cannot fail.
            let _infallible = write!(out, "{sequence}");
            fill(out, &row.tail, &ids, of);
            let _infallible = writeln!(out, "{position}\t{}", recorded_at(position));
        }
    }
}

struct Ids {
    booking: Uuid,
    payment: Uuid,
    attempt: Uuid,
    requests: [Uuid; 2],
}

fn fill(out: &mut String, parts: &[Part], ids: &Ids, of: &Of) {
    for Part { text, gap } in parts {
        out.push_str(text);
        let Some(gap) = gap else { continue };
        // Writing to a string cannot fail.
        let _infallible = match gap {
            Gap::Booking => write!(out, "{}", ids.booking),
            Gap::Payment => write!(out, "{}", ids.payment),
            Gap::Concert => write!(out, "{}", of.concert),
            Gap::Fan => write!(out, "{}", of.fan),
            Gap::Attempt => write!(out, "{}", ids.attempt),
            Gap::Request(which) => write!(out, "{}", ids.requests[*which % ids.requests.len()]),
            Gap::Unit(_) => write!(out, "{}", Uuid::now_v7().as_simple()),
            Gap::Position(nth) => write!(out, "\"event:{}\"", of.base + 1 + i64::try_from(*nth).unwrap_or(0)),
        };
    }
}

/// Cuts a text at everything that differs.
fn cut(text: &str, known: &[(String, Gap)]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((at, length, gap)) = known
        .iter()
        .filter_map(|(word, gap)| Some((rest.find(word.as_str())?, word.len(), *gap)))
        .min_by_key(|(at, ..)| *at)
    {
        parts.push(Part { text: rest[..at].to_owned(), gap: Some(gap) });
        rest = &rest[at + length..];
    }
    parts.push(Part { text: rest.to_owned(), gap: None });
    parts
}

/// A value in the text form of `COPY`.
fn for_copy(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_every_known_word_and_filled_with_others() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let known = [(one.to_string(), Gap::Booking), ("\"event:7\"".to_owned(), Gap::Position(2))];
        let parts = cut(&format!("a {one} b \"event:7\" {one}"), &known);
        assert_eq!(
            parts.iter().map(|part| part.gap).collect::<Vec<_>>(),
            [Some(Gap::Booking), Some(Gap::Position(2)), Some(Gap::Booking), None]
        );
        let mut out = String::new();
        let ids = Ids { booking: two, payment: one, attempt: one, requests: [one, one] };
        fill(&mut out, &parts, &ids, &Of { concert: one, fan: one, concert_sequence: 1, base: 100 });
        assert_eq!(out, format!("a {two} b \"event:103\" {two}"));
    }

    #[test]
    fn what_copy_would_misread_is_escaped() {
        assert_eq!(for_copy("a\\\"b\tc"), "a\\\\\"b\\tc");
    }
}
