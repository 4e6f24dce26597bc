//! Holds end at their deadline, unless somebody is paying.
//!
//! The deadlines are no table: every hold is in the log, so they are read from the concerts' states when the office is
//! taken, and from the log from there on. A deadline is only a reason to look; booking and payment say what is due.

use std::{convert::Infallible, time::Duration};

use aggregates::{
    Booking, BookingCommand, Concert, ConcertEvent, Event, Payment, PaymentCommand, PaymentId,
    concert::AllotmentState,
    payment::PaymentCancelReason,
    saga::{HoldVerdict, hold_verdict},
};
use chrono::{DateTime, TimeDelta, Utc};
use journal::{ExecuteError, Follower, Journal, Metadata, Position, RecordedEvent, create_tables};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    Pace, StepError,
    holds::{Hold, Holds},
};

/// Bookings expired in one unit of work, at most: whoever books meanwhile waits for one round in the writer and for one in
/// the saga. With 250, 50,000 holds were over within 3.5 s and others waited 25 ms, which is two rounds of 17 ms less what
/// they overlap. A round of 100 takes 7 to 8 ms.
const ROUND_MAX: usize = 100;
/// After a round there is a rest of this part of the time that the round took, if more is due: so a third of the time is
/// nobody in the way of others. 500 rounds of 8 ms and rests of 4 ms are 6 s for 50,000 holds, of the 10 s that they may take.
const REST_PART: u32 = 2;
/// No rest is longer.
const REST_MAX: Duration = Duration::from_millis(50);
/// No rest any more where the next deadline is overdue by more than this: then tickets that others wait for come first.
const HURRY_AFTER: TimeDelta = TimeDelta::seconds(5);
/// Events read in one go, at most.
const BATCH_EVENTS_MAX: usize = 4_096;
/// Ids of concerts read in one go, at most.
const CONCERTS_MAX: i64 = 1_000;
/// How long to wait for the next deadline before looking whether the clock was set, and telling what is due soon.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How often it is counted how many deadlines are due soon.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// What is soon.
const SOON: TimeDelta = TimeDelta::minutes(1);
/// How often it is written down up to where no hold can end any more.
const MARK_EVERY: Duration = Duration::from_secs(30);
/// Pause after an error.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The deadlines of all holds.
pub struct Deadlines {
    journal: Journal,
    follower: Follower,
    holds: Holds,
    /// As written down, and when.
    mark: (Position, Instant),
    metadata: Metadata,
    pace: Pace,
    /// When it was last counted how many are due soon.
    counted_at: Option<Instant>,
}

impl Deadlines {
    /// Of every hold there is.
    pub async fn resume(journal: &Journal) -> Result<Self, StepError> {
        create_tables(journal.pool(), "hold_deadlines", include_str!("../migrations/hold_deadlines.sql")).await?;
        let mark: Option<i64> =
            sqlx::query_scalar("SELECT position FROM hold_deadlines").fetch_optional(journal.pool()).await?;
        let mark = Position(mark.unwrap_or(0).cast_unsigned());
        // From here on the log tells; what was held before is in the concerts' states.
        let follower = journal.follow(journal.position());
        let metadata = Metadata::of_request("saga", "hold-deadline");
        let (holds, pace) = (Holds::default(), Pace::default());
        let mut deadlines = Self {
            journal: journal.clone(),
            follower,
            holds,
            mark: (mark, Instant::now()),
            metadata,
            pace,
            counted_at: None,
        };
        deadlines.load().await?;
        Ok(deadlines)
    }

    /// The holds of every concert that has made one since the mark.
    async fn load(&mut self) -> Result<(), StepError> {
        let (mark, _) = self.mark;
        let mut last = String::new();
        loop {
            let concerts: Vec<String> = sqlx::query_scalar(
                "SELECT DISTINCT aggregate_id FROM events
                 WHERE position > $1 AND event_type = 'TicketsHeld' AND aggregate_id > $2
                 ORDER BY aggregate_id LIMIT $3",
            )
            .bind(mark.to_sql())
            .bind(&last)
            .bind(CONCERTS_MAX)
            .fetch_all(self.journal.pool())
            .await?;
            let Some(latest) = concerts.last() else { return Ok(()) };
            last.clone_from(latest);
            for id in concerts.iter().filter_map(|id| id.parse::<Uuid>().ok()) {
                let concert = self.journal.load::<Concert>(id).await?.state;
                if concert.counts().held == 0 {
                    continue;
                }
                let held = concert.allotments().filter(|(_, allotment)| allotment.state == AllotmentState::Held);
                for (booking, allotment) in held {
                    // One of which it is not known is looked at when there is time: its payment says more.
                    let until = allotment.held_until.unwrap_or(DateTime::UNIX_EPOCH);
                    self.holds.insert(Hold { until, booking, made: mark.next() });
                }
            }
        }
    }

    /// With each round waiting for the saga to have seen the one before.
    pub fn at(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Expires holds at their deadlines, for ever. What fails is tried again, and what is known meanwhile stays known.
    pub async fn run(&mut self) -> Infallible {
        loop {
            if let Err(error) = self.step().await {
                tracing::error!(%error, "holds do not expire; trying again");
                sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Takes in new holds, or expires a round of what is due, whichever comes first.
    pub async fn step(&mut self) -> Result<(), StepError> {
        let now = Utc::now();
        self.tell(now);
        self.write_mark().await?;
        let wait = self.holds.next().map_or(WAIT_MAX, |at| (at - now).to_std().unwrap_or_default());
        let at = self.follower.position();
        tokio::select! {
            biased;
            events = self.follower.next(BATCH_EVENTS_MAX) => {
                for event in events? {
                    if let Err(error) = self.take_in(&event) {
                        self.follower.seek(at);
                        return Err(error);
                    }
                }
                // New holds must not keep due ones waiting.
                if self.holds.next().is_some_and(|at| at <= Utc::now()) { self.round().await } else { Ok(()) }
            }
            () = sleep(wait.min(WAIT_MAX)) => self.round().await,
        }
    }

    /// Takes in what an event means for the holds.
    fn take_in(&mut self, event: &RecordedEvent) -> Result<(), StepError> {
        if !matches!(&*event.event_type, "TicketsHeld" | "TicketsSold" | "TicketsReleased") {
            return Ok(());
        }
        let decoded = event.decode(self.journal.upcasters());
        let decoded = decoded.map_err(|source| StepError::Decode { position: event.position, source })?;
        let Event::Concert(decoded) = decoded else { return Ok(()) };
        match decoded {
            ConcertEvent::TicketsHeld { booking_id: booking, expires_at: until, .. } => {
                self.holds.insert(Hold { until, booking, made: event.position });
            }
            ConcertEvent::TicketsSold { booking_id, .. } | ConcertEvent::TicketsReleased { booking_id, .. } => {
                self.holds.remove(booking_id);
            }
            ConcertEvent::ConcertRegistered { .. }
            | ConcertEvent::TicketsRefused { .. }
            | ConcertEvent::CapacityChanged { .. }
            | ConcertEvent::ConcertCanceled { .. } => {}
        }
        Ok(())
    }

    /// How many deadlines are to come, and by how long the next one is overdue.
    /// Now and then, because each of those is counted, also how many are due now and soon.
    #[expect(clippy::cast_precision_loss, reason = "holds are far below 2^52")]
    fn tell(&mut self, now: DateTime<Utc>) {
        tell(self.holds.len(), self.holds.next(), now);
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_INTERVAL) {
            return;
        }
        metrics::gauge!("holds_due").set(self.holds.due_by(now) as f64);
        metrics::gauge!("holds_due_in_a_minute").set(self.holds.due_by(now + SOON) as f64);
        self.counted_at = Some(Instant::now());
    }

    /// Writes down, now and then, up to where no hold can end any more.
    async fn write_mark(&mut self) -> Result<(), StepError> {
        let (mark, written) = self.mark;
        if written.elapsed() < MARK_EVERY {
            return Ok(());
        }
        self.mark_now(mark).await
    }

    async fn mark_now(&mut self, mark: Position) -> Result<(), StepError> {
        let first = self.holds.first_made().map(|made| Position(made.0.saturating_sub(1)));
        let to = first.unwrap_or(self.follower.position());
        if to > mark {
            // Whoever writes it says what is true, also one that has lost the office; so the later one stands.
            sqlx::query(
                "INSERT INTO hold_deadlines AS known (position) VALUES ($1)
                 ON CONFLICT (one) DO UPDATE SET position = greatest(known.position, EXCLUDED.position)",
            )
            .bind(to.to_sql())
            .execute(self.journal.pool())
            .await?;
        }
        self.mark = (to.max(mark), Instant::now());
        Ok(())
    }

    /// Writes down at once up to where no hold can end any more; it is done now and then anyway.
    pub async fn write_mark_now(&mut self) -> Result<Position, StepError> {
        self.mark_now(self.mark.0).await?;
        Ok(self.mark.0)
    }

    /// How many holds it knows of.
    pub fn count(&self) -> usize {
        self.holds.len()
    }

    /// Expires what is due now, [`ROUND_MAX`] at most, as one unit of work.
    pub async fn round(&mut self) -> Result<(), StepError> {
        let (now, begin) = (Utc::now(), Instant::now());
        let taken = self.holds.take_due(now, ROUND_MAX);
        if taken.is_empty() {
            return Ok(());
        }
        match self.expire(&taken, now).await {
            Ok((again, reached)) => {
                for hold in again {
                    self.holds.insert(hold);
                }
                if let Some(reached) = reached {
                    let next = (self.holds.len(), self.holds.next());
                    self.pace.reached(reached, || tell(next.0, next.1, Utc::now())).await;
                    self.rest(begin.elapsed()).await;
                }
                Ok(())
            }
            Err(error) => {
                // Nothing happened, so all of it is still due.
                for hold in taken {
                    self.holds.insert(hold);
                }
                match error {
                    StepError::Append(error) if error.is_stale() => {
                        tracing::debug!(%error, "somebody was paying at that very moment; looking again");
                        Ok(())
                    }
                    error => Err(error),
                }
            }
        }
    }

    /// Lets others get on after a round that took so long, unless nothing more is due, or it is high time.
    async fn rest(&self, took: Duration) {
        let overdue = self.holds.next().map(|at| Utc::now() - at);
        if overdue.is_some_and(|by| by >= TimeDelta::zero() && by < HURRY_AFTER) {
            sleep((took / REST_PART).min(REST_MAX)).await;
        }
    }

    async fn expire(&self, holds: &[Hold], now: DateTime<Utc>) -> Result<(Vec<Hold>, Option<Position>), StepError> {
        let mut unit = self.journal.unit().await;
        unit.prepare::<Booking>(&holds.iter().map(|hold| hold.booking.0).collect::<Vec<_>>()).await?;
        unit.prepare::<Payment>(&holds.iter().map(|hold| PaymentId::of(hold.booking).0).collect::<Vec<_>>()).await?;
        let mut again = Vec::new();
        for hold in holds {
            let booking = hold.booking;
            let payment = PaymentId::of(booking);
            let paying = unit.state::<Payment>(payment.0).await?.clone();
            match hold_verdict(unit.state::<Booking>(booking.0).await?, &paying, now) {
                HoldVerdict::Over => {}
                HoldVerdict::NotBefore(at) => again.push(Hold { until: at, ..*hold }),
                HoldVerdict::Expire => {
                    // Both in one unit: a try to pay that another process makes at this moment conflicts with it.
                    let cancel = PaymentCommand::Cancel { reason: PaymentCancelReason::BookingExpired };
                    refusal(unit.execute::<Booking>(booking.0, BookingCommand::Expire, &self.metadata).await)?;
                    refusal(unit.execute::<Payment>(payment.0, cancel, &self.metadata).await)?;
                }
            }
        }
        // Also where nothing expired: what was seen may have been on its way only, and not have arrived.
        let expired = unit.events() > 0;
        let done = unit.enqueue(None).await?.committed().await?;
        Ok((again, expired.then_some(done.last)))
    }
}

/// Neither command is ever refused; should one be, the round fails and says why.
fn refusal<E: std::error::Error>(outcome: Result<bool, ExecuteError<E>>) -> Result<(), StepError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(ExecuteError::Append(error)) => Err(error.into()),
        Err(ExecuteError::Read(error)) => Err(error.into()),
        Err(ExecuteError::Refused(refusal)) => {
            tracing::error!(%refusal, "a hold could not be ended");
            Ok(())
        }
    }
}

/// So many deadlines are to come, the next one then.
#[expect(clippy::cast_precision_loss, reason = "holds and milliseconds are far below 2^52")]
fn tell(waiting: usize, next: Option<DateTime<Utc>>, now: DateTime<Utc>) {
    let overdue = next.map_or(0, |at| (now - at).num_milliseconds().max(0));
    metrics::gauge!("holds_waiting").set(waiting as f64);
    metrics::gauge!("holds_overdue_seconds").set(overdue as f64 / 1_000.0);
}
