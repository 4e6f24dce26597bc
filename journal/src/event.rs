//! A recorded event, and the two numbers that place it.

use std::{fmt, sync::Arc};

use aggregates::{AggregateType, DecodeError, Event, Upcasters};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after.
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// As Postgres stores it. Numbers count events, and no log has 2^63 of them.
            pub const fn to_sql(self) -> i64 {
                self.0.cast_signed()
            }

            /// As Postgres stored it.
            pub const fn from_sql(number: i64) -> Self {
                Self(number.cast_unsigned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Place of an event in the whole log: 1, 2, 3 … without a gap, in commit order; 0 is before the first. It is also
    /// the event's sequence in the JetStream stream.
    Position
);
number!(
    /// Place of an event in its own aggregate's stream: 1, 2, 3 …; 0 is before the first.
    Sequence
);

/// An event of the log as it was written. Payload and metadata are the stored text, never encoded again.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent {
    /// Place in the log.
    pub position: Position,
    /// When it was committed, to the microsecond; never decreases with position.
    pub recorded_at: DateTime<Utc>,
    /// Kind of its aggregate.
    pub aggregate: AggregateType,
    /// Its aggregate.
    pub aggregate_id: Uuid,
    /// Place in its aggregate's stream.
    pub sequence: Sequence,
    /// Its name.
    pub event_type: Arc<str>,
    /// The version in which it was written.
    pub event_version: Arc<str>,
    /// The event, as JSON text.
    pub payload: Arc<str>,
    /// Who, why and in what unit, as JSON text.
    pub metadata: Arc<str>,
}

impl RecordedEvent {
    /// The event in today's shape.
    pub fn decode(&self, upcasters: &Upcasters) -> Result<Event, DecodeError> {
        Event::decode(upcasters, self.aggregate, &self.event_type, &self.event_version, &self.payload)
    }

    /// Bytes it takes on the wire, near enough for bounds.
    pub fn weight_bytes(&self) -> usize {
        self.payload.len() + self.metadata.len() + 200
    }

    /// The columns, in the order in which [`RecordedEvent::from_row`] reads them.
    pub(crate) const COLUMNS: &str = "position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, \
                                      event_version, payload::text, metadata::text";

    pub(crate) fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let text = |index: usize| row.try_get::<&str, _>(index);
        let decode = |source: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(source);
        Ok(Self {
            position: Position::from_sql(row.try_get(0)?),
            recorded_at: row.try_get(1)?,
            aggregate: text(2)?.parse().map_err(|error: DecodeError| decode(error.into()))?,
            aggregate_id: text(3)?.parse().map_err(|error: uuid::Error| decode(error.into()))?,
            sequence: Sequence::from_sql(row.try_get(4)?),
            event_type: text(5)?.into(),
            event_version: text(6)?.into(),
            payload: text(7)?.into(),
            metadata: text(8)?.into(),
        })
    }
}
