//! A concert that is called off takes its bookings with it: each one that has tickets is cancelled, in the background,
//! in rounds, and money and tickets follow by the saga as for any cancelled booking.
//!
//! A concert that is called off holds no tickets for anybody any more, so its allotments at that moment are all there is
//! to do. Cancelling a booking again has no effect; so whatever is killed when, the next office holder begins at the
//! last concert that was not done with, and does what is left.

use std::{collections::HashSet, sync::Arc, time::Duration};

use aggregates::{Booking, BookingCommand, BookingError, BookingId, Concert, booking::CancelReason};
use journal::{
    CheckpointMove, ExecuteError, Follower, Journal, Metadata, Position, RecordedEvent, checkpoint, create_tables,
};

use uuid::Uuid;

use crate::{Pace, StepError};

/// The checkpoint in the journal: every concert called off up to there has no live booking left.
pub const CHECKPOINT: &str = "concert-cancellations.v1";
/// Bookings cancelled in one unit of work, at most. Others' commands on them wait that long.
const ROUND_MAX: usize = 200;
/// Events read in one go, at most.
const BATCH_EVENTS_MAX: usize = 4_096;
/// Events after which the checkpoint moves also where no concert was called off.
const CHECKPOINT_EVENTS: u64 = 50_000;
/// How often a round is decided again after somebody else was first with one of its bookings.
const CONFLICT_RETRIES_MAX: usize = 64;
/// Pause before it is.
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// Cancels the bookings of concerts that are called off.
pub struct Cancellations {
    journal: Journal,
    follower: Follower,
    at: Position,
    actor: Arc<str>,
    pace: Pace,
    /// Concerts called off whose tickets are not all free yet: some money is still on its way back.
    open: HashSet<Uuid>,
}

impl Cancellations {
    /// Creates the table of progress if need be, and resumes from the checkpoint.
    pub async fn resume(journal: &Journal) -> Result<Self, StepError> {
        let table = include_str!("../migrations/concert_cancellations.sql");
        create_tables(journal.pool(), "concert_cancellations", table).await?;
        let at = checkpoint(journal.pool(), CHECKPOINT).await?;
        let open: Vec<Uuid> =
            sqlx::query_scalar("SELECT concert_id FROM concert_cancellations WHERE through_at IS NULL")
                .fetch_all(journal.pool())
                .await?;
        let mut cancellations = Self {
            journal: journal.clone(),
            follower: journal.follow(at),
            at,
            actor: "saga".into(),
            pace: Pace::default(),
            open: open.iter().copied().collect(),
        };
        cancellations.look_at(open).await?;
        Ok(cancellations)
    }

    /// With each round waiting for the saga to have seen the one before.
    pub fn at(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Cancels for ever, until an error.
    pub async fn run(&mut self) -> StepError {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    /// The position up to which every concert called off is done with.
    pub const fn position(&self) -> Position {
        self.at
    }

    /// Waits for events, and does what those of a batch ask for. An error leaves it where it was.
    pub async fn step(&mut self) -> Result<(), StepError> {
        let outcome = self.take().await;
        if outcome.is_err() {
            self.follower.seek(self.at);
        }
        outcome
    }

    async fn take(&mut self) -> Result<(), StepError> {
        let events = self.follower.next(BATCH_EVENTS_MAX).await?;
        let mut called_off = false;
        for event in events.iter().filter(|event| &*event.event_type == "ConcertCanceled") {
            self.call_off(event).await?;
            called_off = true;
        }
        let released = events.iter().filter(|event| &*event.event_type == "TicketsReleased");
        let touched: HashSet<Uuid> =
            released.map(|event| event.aggregate_id).filter(|concert| self.open.contains(concert)).collect();
        self.look_at(touched).await?;
        let to = self.follower.position();
        if called_off || to.0 - self.at.0 >= CHECKPOINT_EVENTS {
            let step = CheckpointMove { name: CHECKPOINT.into(), from: self.at, to };
            self.journal.unit().await.enqueue(Some(step)).await?.committed().await?;
            self.at = to;
        }
        Ok(())
    }

    /// Sees of which of these concerts the last ticket is free.
    async fn look_at(&mut self, concerts: impl IntoIterator<Item = Uuid>) -> Result<(), StepError> {
        for id in concerts {
            let counts = self.journal.load::<Concert>(id).await?.state.counts();
            if counts.held > 0 || counts.sold > 0 {
                continue;
            }
            sqlx::query(
                "UPDATE concert_cancellations SET through_at = coalesce(through_at, clock_timestamp())
                 WHERE concert_id = $1 AND finished_at IS NOT NULL",
            )
            .bind(id)
            .execute(self.journal.pool())
            .await?;
            tracing::info!(concert = %id, "all money and tickets of the concert that was called off are back");
            self.open.remove(&id);
        }
        Ok(())
    }

    async fn call_off(&mut self, event: &RecordedEvent) -> Result<(), StepError> {
        let concert = self.journal.load::<Concert>(event.aggregate_id).await?.state;
        let has_tickets = concert.allotments().filter(|(_, allotment)| allotment.has_tickets());
        let bookings: Vec<BookingId> = has_tickets.map(|(booking, _)| booking).collect();
        let progress = Progress { journal: &self.journal, event };
        progress.begin(bookings.len()).await?;
        tracing::info!(concert = %event.aggregate_id, bookings = bookings.len(), "a concert was called off: cancelling its bookings");
        let metadata = Metadata::following(&self.actor, event);
        let mut left = bookings.len();
        for some in bookings.chunks(ROUND_MAX) {
            self.cancel(some, &metadata).await?;
            left -= some.len();
            progress.now_left(left).await?;
        }
        progress.end().await?;
        self.open.insert(event.aggregate_id);
        self.look_at([event.aggregate_id]).await?;
        tracing::info!(concert = %event.aggregate_id, "all bookings of the concert are cancelled; money goes back as it can");
        Ok(())
    }

    /// Cancels some bookings as one unit of work.
    async fn cancel(&self, bookings: &[BookingId], metadata: &Metadata) -> Result<(), StepError> {
        let ids: Vec<_> = bookings.iter().map(|booking| booking.0).collect();
        let cancel = BookingCommand::Cancel { reason: CancelReason::ConcertCanceled };
        let mut tries = 0;
        loop {
            let mut unit = self.journal.unit().await;
            unit.prepare::<Booking>(&ids).await?;
            for id in &ids {
                match unit.execute::<Booking>(*id, cancel.clone(), metadata).await {
                    // Expired meanwhile: its tickets come back all the same.
                    Ok(_) | Err(ExecuteError::Refused(BookingError::IllegalTransition { .. })) => {}
                    Err(ExecuteError::Refused(refusal)) => {
                        tracing::error!(booking = %id, %refusal, "a booking of a concert that was called off could not be cancelled");
                    }
                    Err(ExecuteError::Append(error)) => return Err(error.into()),
                    Err(ExecuteError::Read(error)) => return Err(error.into()),
                }
            }
            match unit.enqueue(None).await?.committed().await {
                Ok(done) => {
                    self.pace.reached(done.last, || ()).await;
                    return Ok(());
                }
                Err(error) if error.is_stale() && tries < CONFLICT_RETRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(CONFLICT_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The row that tells people how far it is.
struct Progress<'a> {
    journal: &'a Journal,
    event: &'a RecordedEvent,
}

impl Progress<'_> {
    /// A row that is there already was begun by an office holder that was killed.
    async fn begin(&self, left: usize) -> Result<(), StepError> {
        sqlx::query(
            "INSERT INTO concert_cancellations (concert_id, position, bookings) VALUES ($1, $2, $3)
             ON CONFLICT (concert_id) DO NOTHING",
        )
        .bind(self.event.aggregate_id)
        .bind(self.event.position.0.cast_signed())
        .bind(i64::try_from(left).unwrap_or(i64::MAX))
        .execute(self.journal.pool())
        .await?;
        self.now_left(left).await
    }

    async fn now_left(&self, left: usize) -> Result<(), StepError> {
        sqlx::query(
            "UPDATE concert_cancellations SET canceled = greatest(bookings - $2, canceled) WHERE concert_id = $1",
        )
        .bind(self.event.aggregate_id)
        .bind(i64::try_from(left).unwrap_or(i64::MAX))
        .execute(self.journal.pool())
        .await?;
        Ok(())
    }

    async fn end(&self) -> Result<(), StepError> {
        sqlx::query(
            "UPDATE concert_cancellations SET canceled = bookings, finished_at = coalesce(finished_at, clock_timestamp())
             WHERE concert_id = $1",
        )
        .bind(self.event.aggregate_id)
        .execute(self.journal.pool())
        .await?;
        Ok(())
    }
}
