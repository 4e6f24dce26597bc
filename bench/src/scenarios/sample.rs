//! One real booking's events, as text: what the limits write and answer is what the product does.

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::{Stage, office::Booked};
use crate::error::Error;

/// What a booking leaves in the log until its payment is requested.
pub(super) const EVENT_TYPES: [&str; 3] = ["BookingRequested", "TicketsHeld", "PaymentRequested"];

/// A stored event of the sample booking.
pub(super) struct SampleEvent {
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: String,
}

/// A booking that was really made.
pub(super) struct Sample {
    pub booking: Uuid,
    pub payment: Uuid,
    /// In log order.
    pub events: Vec<SampleEvent>,
    /// The body of the answer.
    pub answer: Value,
}

impl Sample {
    /// Books one ticket of a concert of its own, and reads what that has written.
    pub async fn take(stage: &mut Stage) -> Result<Self, Error> {
        let concert = stage.office.concert("sample").await?;
        let asks = stage.office.bookings_of(concert);
        let answer = stage.office.send(&asks[0]).await?;
        let Booked { booking_id, payment_id, .. } = answer.expect(201, "booking the sample")?;
        let mut connection = PgConnection::connect(stage.product.setting("DATABASE_URL")?).await?;
        let rows = sqlx::query(
            "SELECT aggregate_type, aggregate_id, event_type, event_version, payload::text, metadata::text
             FROM events WHERE payload::text LIKE '%' || $1 || '%' ORDER BY position",
        )
        .bind(booking_id.to_string())
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        let mut events = Vec::with_capacity(EVENT_TYPES.len());
        for row in rows {
            events.push(SampleEvent {
                aggregate_type: row.try_get(0)?,
                aggregate_id: row.try_get(1)?,
                event_type: row.try_get(2)?,
                event_version: row.try_get(3)?,
                payload: row.try_get(4)?,
                metadata: row.try_get(5)?,
            });
        }
        for event_type in EVENT_TYPES {
            if !events.iter().any(|event| event.event_type == event_type) {
                return Err(Error::NoSample(event_type));
            }
        }
        Ok(Self { booking: booking_id, payment: payment_id, events, answer: answer.expect(201, "booking the sample")? })
    }
}
