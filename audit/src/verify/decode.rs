//! What can be said of each row by itself, and of it and the one before.

use aggregates::{AggregateType, BookingEvent, ConcertEvent, Event, PaymentEvent, Upcasters, UserEvent};
use bytes::Bytes;
use journal::{Position, Sequence};
use serde::Deserialize;
use uuid::Uuid;

use super::{Breach, Check, LogCheck, check::Findings};
use crate::{Error, Row};

/// A row that was read, for the fold.
pub(super) struct Decoded {
    pub position: Position,
    pub recorded_micros: i64,
    pub aggregate: AggregateType,
    pub id: Uuid,
    pub sequence: Sequence,
    /// `None` where today's code does not read it.
    pub event: Option<Event>,
}

/// Reads rows in order.
pub(super) struct Decoder {
    upcasters: Upcasters,
    last: Option<(Position, i64)>,
    others: Vec<Box<dyn LogCheck>>,
    pub findings: Findings,
}

/// What an event says about its making, as stored.
#[derive(Deserialize)]
struct Origin<'a> {
    #[serde(borrow)]
    actor: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    correlation: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    causation: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    unit: std::borrow::Cow<'a, str>,
}

impl Decoder {
    pub fn new(others: Vec<Box<dyn LogCheck>>) -> Self {
        Self { upcasters: Upcasters::current(), last: None, others, findings: Findings::default() }
    }

    /// Reads a run of messages; nothing comes of a row that cannot even be placed.
    pub fn read(&mut self, messages: &[Bytes]) -> Result<Vec<Decoded>, Error> {
        let mut decoded = Vec::with_capacity(messages.len());
        for message in messages {
            let Some(row) = Row::parse(message)? else { continue };
            self.order(&row);
            for other in &mut self.others {
                other.row(&row);
            }
            self.origin(&row);
            decoded.extend(self.decode(&row));
        }
        Ok(decoded)
    }

    /// The last row's position and time, and what others have found.
    pub fn finish(mut self) -> (Option<(Position, i64)>, Findings) {
        for other in std::mem::take(&mut self.others) {
            other.finish(&mut Recorder(&mut self.findings));
        }
        (self.last, self.findings)
    }

    fn order(&mut self, row: &Row<'_>) {
        let (last, time) = self.last.unwrap_or((Position(0), i64::MIN));
        self.findings.count(Check::Order, 1);
        if row.position != last.next() {
            let found = if row.position.0 > last.0 + 2 {
                format!("none up to {}: {} are missing", row.position.0 - 1, row.position.0 - last.0 - 1)
            } else if row.position > last {
                "none: it is missing".to_owned()
            } else {
                format!("position {} once more", row.position)
            };
            let expected = format!("an event at position {}", last.next());
            self.findings.breach(Check::Order, Breach::at(last.next(), "the log", expected, found));
        }
        if row.recorded_micros < time {
            let at = |micros: i64| chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339();
            let expected = format!("recorded_at not before {}, that of position {last}", at(time));
            let subject = format!("{} {}", row.aggregate_type, row.aggregate_id);
            self.findings.breach(Check::Order, Breach::at(row.position, subject, expected, at(row.recorded_micros)));
        }
        self.last = Some((row.position, row.recorded_micros.max(time)));
    }

    fn origin(&mut self, row: &Row<'_>) {
        self.findings.count(Check::Origin, 1);
        let wrong = match serde_json::from_str::<Origin<'_>>(row.metadata) {
            Err(error) => Some(format!("{} ({error})", row.metadata)),
            Ok(origin) => {
                let Origin { actor, correlation, causation, unit } = &origin;
                let said = [actor, correlation, causation, unit].iter().all(|text| !text.is_empty());
                let cause = causation.strip_prefix("event:").map(str::parse::<u64>);
                match cause {
                    None if said => None,
                    Some(Ok(cause)) if said && cause > 0 && cause < row.position.0 => None,
                    None | Some(_) => Some(row.metadata.to_owned()),
                }
            }
        };
        if let Some(found) = wrong {
            let subject = format!("{} {}", row.aggregate_type, row.aggregate_id);
            let expected = "metadata with actor, correlation, unit, and a causation that is earlier";
            self.findings.breach(Check::Origin, Breach::at(row.position, subject, expected, found));
        }
    }

    fn decode(&mut self, row: &Row<'_>) -> Option<Decoded> {
        self.findings.count(Check::Decode, 1);
        let subject = || format!("{} {}", row.aggregate_type, row.aggregate_id);
        let Some((aggregate, id)) = row.aggregate() else {
            let expected = "an aggregate of user, concert, booking, payment, and its id as a UUID";
            self.findings.breach(Check::Decode, Breach::at(row.position, subject(), expected, "another"));
            return None;
        };
        let event = match Event::decode(&self.upcasters, aggregate, row.event_type, row.event_version, row.payload) {
            Ok(event) => {
                if event.name() != row.event_type {
                    let expected = format!("the event_type {}, by its payload", event.name());
                    self.findings.breach(Check::Decode, Breach::at(row.position, subject(), expected, row.event_type));
                }
                if own_id(&event) != id {
                    let expected = format!("an event of {id}");
                    let found = format!("one of {}, by its payload", own_id(&event));
                    self.findings.breach(Check::Decode, Breach::at(row.position, subject(), expected, found));
                }
                Some(event)
            }
            Err(error) => {
                let expected = format!("a {} that today's code reads", row.event_type);
                let found = format!("{} ({error})", row.payload);
                self.findings.breach(Check::Decode, Breach::at(row.position, subject(), expected, found));
                None
            }
        };
        let Row { position, recorded_micros, sequence, .. } = *row;
        Some(Decoded { position, recorded_micros, aggregate, id, sequence, event })
    }
}

/// Where another check of each row writes what it has found.
pub struct Recorder<'a>(&'a mut Findings);

impl Recorder<'_> {
    /// Looked at `more` of what `check` counts.
    pub fn count(&mut self, check: Check, more: u64) {
        self.0.count(check, more);
    }

    /// Found something that must not be.
    pub fn breach(&mut self, check: Check, breach: Breach) {
        self.0.breach(check, breach);
    }

    /// Found so many more, which are not told.
    pub fn more_breaches(&mut self, check: Check, more: u64) {
        self.0.more_breaches(check, more);
    }

    /// Has something to say beside.
    pub fn note(&mut self, check: Check, note: impl Into<String>) {
        self.0.note(check, note);
    }

    /// Could not look, or had nothing to look at.
    pub fn not_checked(&mut self, check: Check, verdict: super::Verdict) {
        self.0.not_checked(check, verdict);
    }
}

/// The aggregate that an event's payload says it is of.
fn own_id(event: &Event) -> Uuid {
    match event {
        Event::User(UserEvent::UserRegistered { user_id, .. } | UserEvent::UserErased { user_id }) => user_id.0,
        Event::Concert(
            ConcertEvent::ConcertRegistered { concert_id, .. }
            | ConcertEvent::CapacityChanged { concert_id, .. }
            | ConcertEvent::TicketsHeld { concert_id, .. }
            | ConcertEvent::TicketsRefused { concert_id, .. }
            | ConcertEvent::TicketsSold { concert_id, .. }
            | ConcertEvent::TicketsReleased { concert_id, .. }
            | ConcertEvent::ConcertCanceled { concert_id },
        ) => concert_id.0,
        Event::Booking(
            BookingEvent::BookingRequested { booking_id, .. }
            | BookingEvent::BookingApproved { booking_id, .. }
            | BookingEvent::BookingRejected { booking_id, .. }
            | BookingEvent::BookingCanceled { booking_id, .. }
            | BookingEvent::BookingExpired { booking_id, .. },
        ) => booking_id.0,
        Event::Payment(
            PaymentEvent::PaymentRequested { payment_id, .. }
            | PaymentEvent::PaymentAttempted { payment_id, .. }
            | PaymentEvent::PaymentDeclined { payment_id, .. }
            | PaymentEvent::PaymentAttemptAbandoned { payment_id, .. }
            | PaymentEvent::PaymentPutOff { payment_id, .. }
            | PaymentEvent::PaymentApproved { payment_id, .. }
            | PaymentEvent::PaymentCancelRequested { payment_id, .. }
            | PaymentEvent::PaymentCanceled { payment_id, .. },
        ) => payment_id.0,
    }
}
