//! Making a receipt.

use std::{collections::BTreeMap, time::Duration};

use aggregates::{AggregateType, Booking, BookingId, ConcertId, PaymentId};
use journal::{Metadata, Position, RecordedEvent, history, read_after, state};
use sqlx::PgPool;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::document::{Receipt, ReceiptEvent, VERSION};
use crate::{Log, SealError, reader::Signed};

/// How long a receipt waits for the checkpoint that covers it.
pub const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Pause between two looks for it.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How far behind an event those are looked for that the concert says because of it. The saga usually is a few behind; an
/// answer that comes later is left out, which makes the receipt shorter and not wrong.
const CONSEQUENCE_EVENTS_MAX: i64 = 2_048;

/// Why there is no receipt.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// There is no such booking.
    #[error("there is no such booking")]
    NoSuchBooking,
    /// Its last events are not covered by a checkpoint yet.
    #[error(
        "the log is sealed up to position {sealed}, and this booking's last event is at {wanted}; try again a little later"
    )]
    NotYet {
        /// How far it is sealed.
        sealed: Position,
        /// How far it must be.
        wanted: Position,
    },
    /// Log or seals could not be read.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<journal::ReadError> for ReceiptError {
    fn from(error: journal::ReadError) -> Self {
        Self::Seal(error.into())
    }
}

impl From<sqlx::Error> for ReceiptError {
    fn from(error: sqlx::Error) -> Self {
        Self::Seal(error.into())
    }
}

impl Receipt {
    /// The receipt of a booking as the log is now; waits, within [`RECEIPT_WAIT_MAX`], until that is sealed.
    pub async fn of(log: &Log, booking: BookingId) -> Result<Self, ReceiptError> {
        let pool = log.pool();
        let Some(request) = state::<Booking>(pool, booking.0).await?.request() else {
            return Err(ReceiptError::NoSuchBooking);
        };
        let payment = PaymentId::of(booking);
        let mut events = history(pool, AggregateType::Booking, booking.0).await?;
        events.extend(history(pool, AggregateType::Payment, payment.0).await?);
        let events = with_the_concert_s(pool, request.concert_id, events).await?;
        let last = events.last_key_value().map(|(position, _)| *position).ok_or(ReceiptError::NoSuchBooking)?;
        let signed = covering(log, last).await?;
        let leaves: Vec<u64> = events.keys().map(|position| position.0 - 1).collect();
        let proofs = log.inclusion(&leaves, signed.size).await?;
        let events = events.values().zip(proofs).map(|(event, proof)| ReceiptEvent::new(event, proof)).collect();
        Ok(Self {
            version: VERSION,
            booking_id: booking.0,
            payment_id: payment.0,
            concert_id: request.concert_id.0,
            checkpoint: signed.note,
            events,
        })
    }
}

/// The newest checkpoint, once it covers `position`.
async fn covering(log: &Log, position: Position) -> Result<Signed, ReceiptError> {
    let deadline = Instant::now() + RECEIPT_WAIT_MAX;
    loop {
        let newest = log.newest().await?;
        let sealed = Position(newest.as_ref().map_or(0, |newest| newest.size));
        if let Some(newest) = newest.filter(|newest| newest.size >= position.0) {
            return Ok(newest);
        }
        if Instant::now() >= deadline {
            return Err(ReceiptError::NotYet { sealed, wanted: position });
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// By position; with those of the concert that these say they follow from, and those that say so of these.
async fn with_the_concert_s(
    pool: &PgPool,
    concert: ConcertId,
    events: Vec<RecordedEvent>,
) -> Result<BTreeMap<Position, RecordedEvent>, ReceiptError> {
    let mut all: BTreeMap<Position, RecordedEvent> = BTreeMap::new();
    for event in &events {
        if let Some(cause) = cause(event) {
            let found = read_after(pool, Position(cause.0 - 1), 1).await?;
            let of_concert = |found: &RecordedEvent| found.position == cause && found.aggregate_id == concert.0;
            all.extend(found.into_iter().filter(of_concert).map(|found| (found.position, found)));
        }
        for position in consequences(pool, concert, event.position).await? {
            let found = read_after(pool, Position(position.0 - 1), 1).await?;
            all.extend(found.into_iter().map(|found| (found.position, found)));
        }
    }
    all.extend(events.into_iter().map(|event| (event.position, event)));
    Ok(all)
}

/// The event that one says it follows from.
fn cause(event: &RecordedEvent) -> Option<Position> {
    let metadata: Metadata = serde_json::from_str(&event.metadata).ok()?;
    let position = metadata.causation.strip_prefix("event:")?.parse().ok()?;
    (position > 0).then_some(Position(position))
}

/// What the concert said soon after because of the event at `position`.
async fn consequences(pool: &PgPool, concert: ConcertId, position: Position) -> Result<Vec<Position>, sqlx::Error> {
    let positions: Vec<i64> = sqlx::query_scalar(
        "SELECT position FROM events
         WHERE position > $1 AND position <= $1 + $2 AND aggregate_type = $3 AND aggregate_id = $4
           AND metadata ->> 'causation' = $5
         ORDER BY position",
    )
    .bind(position.to_sql())
    .bind(CONSEQUENCE_EVENTS_MAX)
    .bind(AggregateType::Concert.as_str())
    .bind(concert.to_string())
    .bind(format!("event:{position}"))
    .fetch_all(pool)
    .await?;
    Ok(positions.into_iter().map(Position::from_sql).collect())
}
