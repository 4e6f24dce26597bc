//! Any event of the log, whatever its aggregate.

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::{AggregateType, BookingEvent, ConcertEvent, PaymentEvent, Upcasters, UserEvent};

/// One decoded event of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Of a user.
    User(UserEvent),
    /// Of a concert.
    Concert(ConcertEvent),
    /// Of a booking.
    Booking(BookingEvent),
    /// Of a payment.
    Payment(PaymentEvent),
}

/// A stored event that today's code cannot read: it was changed by hand, or written by a newer version.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// `aggregate_type` is none of the four.
    #[error("unknown aggregate type {0:?}")]
    UnknownAggregate(String),
    /// The payload is no event of its aggregate.
    #[error("{event_type} {event_version} of {aggregate} does not decode: {source}")]
    Payload {
        /// Whose event it claims to be.
        aggregate: AggregateType,
        /// Its name in the journal.
        event_type: String,
        /// Its version in the journal.
        event_version: String,
        /// Where the text breaks off.
        source: serde_json::Error,
    },
}

impl Event {
    /// Reads a stored event, through the upcasters where it is of an older version.
    pub fn decode(
        upcasters: &Upcasters,
        aggregate: AggregateType,
        event_type: &str,
        event_version: &str,
        payload: &str,
    ) -> Result<Self, DecodeError> {
        fn read<E: DeserializeOwned>(
            upcasters: &Upcasters,
            aggregate: AggregateType,
            (event_type, event_version, payload): (&str, &str, &str),
        ) -> Result<E, DecodeError> {
            upcasters.read(aggregate, event_type, event_version, payload).map_err(|source| DecodeError::Payload {
                aggregate,
                event_type: event_type.to_owned(),
                event_version: event_version.to_owned(),
                source,
            })
        }
        let stored = (event_type, event_version, payload);
        Ok(match aggregate {
            AggregateType::User => Self::User(read(upcasters, aggregate, stored)?),
            AggregateType::Concert => Self::Concert(read(upcasters, aggregate, stored)?),
            AggregateType::Booking => Self::Booking(read(upcasters, aggregate, stored)?),
            AggregateType::Payment => Self::Payment(read(upcasters, aggregate, stored)?),
        })
    }

    /// The event's name, as in the journal's `event_type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::User(event) => event.name(),
            Self::Concert(event) => event.name(),
            Self::Booking(event) => event.name(),
            Self::Payment(event) => event.name(),
        }
    }
}
