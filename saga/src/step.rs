//! One batch of the saga: from events to one unit of work.

use std::sync::Arc;

use aggregates::{
    Booking, BookingEvent, BookingId, Concert, DecodeError, Event, Payment, PaymentId,
    saga::{Command, booking_of, react},
};
use chrono::Utc;
use journal::{
    AppendError, CheckpointMove, ExecuteError, Follower, Journal, Metadata, Position, ReadError, RecordedEvent,
    UnitOfWork, checkpoint,
};
use thiserror::Error;
use uuid::Uuid;

/// The saga's checkpoint in the journal.
pub const CHECKPOINT: &str = "saga";
/// Events in one batch, at most. Each leads to at most two, so a unit stays within its bound.
pub const BATCH_EVENTS_MAX: usize = 1_024;
/// How often a batch is decided again after another process was first, before the error is told.
const CONFLICT_RETRIES_MAX: usize = 16;

/// Why a batch was not handled. It is handled again from the checkpoint.
#[derive(Debug, Error)]
pub enum StepError {
    /// The log or an aggregate could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event of the log is not one that today's code reads.
    #[error("event {position}: {source}")]
    Decode {
        /// Which event.
        position: Position,
        /// Why not.
        source: DecodeError,
    },
    /// What follows could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A checkpoint or the progress of a cancellation could not be read or written.
    #[error("the saga's own tables cannot be read or written: {0}")]
    Checkpoint(#[from] sqlx::Error),
    /// The database was restored from a backup that is older than the checkpoint.
    #[error("the saga has come to {checkpoint}, but the log ends at {head}: was the database restored in part?")]
    AheadOfLog {
        /// Where the saga is.
        checkpoint: Position,
        /// Where the log ends.
        head: Position,
    },
}

/// The saga at some place in the log.
pub struct Saga {
    journal: Journal,
    follower: Follower,
    at: Position,
    name: Arc<str>,
    actor: Arc<str>,
}

impl Saga {
    /// At its checkpoint.
    pub async fn resume(journal: &Journal) -> Result<Self, StepError> {
        let at = checkpoint(journal.pool(), CHECKPOINT).await?;
        let head = journal::last_position(journal.pool()).await?;
        if at > head {
            return Err(StepError::AheadOfLog { checkpoint: at, head });
        }
        // What an earlier saga wrote with its checkpoint must have been seen before anything is decided: a payment that
        // is remembered as not there could be one that was requested a moment ago.
        journal.reached(head).await;
        Ok(Self {
            journal: journal.clone(),
            follower: journal.follow(at),
            at,
            name: CHECKPOINT.into(),
            actor: "saga".into(),
        })
    }

    /// The position up to which everything has been reacted to.
    pub const fn position(&self) -> Position {
        self.at
    }

    /// Waits for events and reacts to a batch of at most `max` of them. An error leaves the saga where it was.
    pub async fn step(&mut self, max: usize) -> Result<(), StepError> {
        let events = self.follower.next(max.min(BATCH_EVENTS_MAX)).await?;
        let outcome = self.handle(&events).await;
        if outcome.is_err() {
            self.follower.seek(self.at);
        }
        outcome
    }

    async fn handle(&mut self, events: &[Arc<RecordedEvent>]) -> Result<(), StepError> {
        let Some(to) = events.last().map(|event| event.position) else { return Ok(()) };
        let decoded = events.iter().map(|event| self.decode(event)).collect::<Result<Vec<_>, _>>()?;
        let bookings: Vec<Uuid> = decoded.iter().filter_map(booking_of).map(|booking| booking.0).collect();
        let payments: Vec<Uuid> = decoded.iter().filter_map(ended).map(|booking| PaymentId::of(booking).0).collect();
        let mut tries = 0;
        loop {
            let mut unit = self.journal.unit().await;
            // At once: a backlog is longer than the cache, and one by one each would cost a round trip.
            unit.prepare::<Booking>(&bookings).await?;
            unit.prepare::<Payment>(&payments).await?;
            for (event, decoded) in events.iter().zip(&decoded) {
                // A payment that is requested does not exist yet, unless this batch was handled before.
                self.follow_up(&mut unit, event, decoded, tries == 0).await?;
            }
            let step = CheckpointMove { name: Arc::clone(&self.name), from: self.at, to };
            match unit.enqueue(Some(step)).await?.committed().await {
                Ok(_) => {
                    self.at = to;
                    return Ok(());
                }
                Err(error) if error.is_stale() && tries < CONFLICT_RETRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn decode(&self, event: &RecordedEvent) -> Result<Event, StepError> {
        let decoded = event.decode(self.journal.upcasters());
        decoded.map_err(|source| StepError::Decode { position: event.position, source })
    }

    /// Stages what follows from one event.
    async fn follow_up(
        &self,
        unit: &mut UnitOfWork,
        event: &RecordedEvent,
        decoded: &Event,
        new: bool,
    ) -> Result<(), StepError> {
        let Some(booking) = booking_of(decoded) else { return Ok(()) };
        let commands = react(decoded, unit.state::<Booking>(booking.0).await?, Utc::now());
        if commands.is_empty() {
            return Ok(());
        }
        let metadata = Metadata::following(&self.actor, event);
        let traceparent = metadata.traceparent.as_deref().unwrap_or_default();
        tracing::debug!(position = %event.position, event = decoded.name(), correlation = %metadata.correlation, traceparent, "reacting");
        for command in commands {
            match execute(unit, command, &metadata, new).await {
                Ok(()) => {}
                Err(Refusal::Read(error)) => return Err(error.into()),
                Err(Refusal::Append(error)) => return Err(error.into()),
                Err(Refusal::Domain(refusal)) => {
                    // No event of ours leads here; one that does was written by hand. The rest must go on.
                    metrics::counter!("saga_refused_total").increment(1);
                    tracing::error!(position = %event.position, %booking, %refusal, "the saga's command was refused");
                }
            }
        }
        Ok(())
    }
}

/// The booking that an event has ended, so that its payment is looked at.
const fn ended(event: &Event) -> Option<BookingId> {
    match event {
        Event::Booking(
            BookingEvent::BookingCanceled { booking_id, .. } | BookingEvent::BookingExpired { booking_id, .. },
        ) => Some(*booking_id),
        Event::Booking(
            BookingEvent::BookingRequested { .. }
            | BookingEvent::BookingApproved { .. }
            | BookingEvent::BookingRejected { .. },
        )
        | Event::User(_)
        | Event::Concert(_)
        | Event::Payment(_) => None,
    }
}

enum Refusal {
    Domain(String),
    Read(ReadError),
    Append(AppendError),
}

impl<E: std::error::Error> From<ExecuteError<E>> for Refusal {
    fn from(error: ExecuteError<E>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Domain(refusal.to_string()),
            ExecuteError::Append(error) => Self::Append(error),
            ExecuteError::Read(error) => Self::Read(error),
        }
    }
}

async fn execute(unit: &mut UnitOfWork, command: Command, metadata: &Metadata, new: bool) -> Result<(), Refusal> {
    use aggregates::PaymentCommand;
    match command {
        Command::Concert(id, command) => unit.execute::<Concert>(id.0, command, metadata).await?,
        Command::Booking(id, command) => unit.execute::<Booking>(id.0, command, metadata).await?,
        Command::Payment(id, command @ PaymentCommand::Request(_)) if new => {
            unit.execute_new::<Payment>(id.0, command, metadata).await?
        }
        Command::Payment(id, command) => unit.execute::<Payment>(id.0, command, metadata).await?,
    };
    Ok(())
}
