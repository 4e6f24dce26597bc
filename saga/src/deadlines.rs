//! Holds end at their deadline, unless somebody is paying.
//!
//! The deadlines are no table: every hold is in the log, so they are read from the concerts' states when the office is
//! taken, and from the log from there on. A deadline is only a reason to look; booking and payment say what is due.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use aggregates::{
    Booking, BookingCommand, BookingId, Concert, ConcertEvent, Event, Payment, PaymentCommand, PaymentId,
    concert::AllotmentState,
    payment::PaymentCancelReason,
    saga::{HoldVerdict, hold_verdict},
};
use chrono::{DateTime, Utc};
use journal::{ExecuteError, Follower, Journal, Metadata};
use uuid::Uuid;

use crate::{Pace, StepError};

/// Bookings expired in one unit of work, at most.
const ROUND_MAX: usize = 250;
/// Events read in one go, at most.
const BATCH_EVENTS_MAX: usize = 4_096;
/// How long to wait for the next deadline before looking whether the clock was set, and telling what is due soon.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How often it is counted how many deadlines are due soon.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// What is soon.
const SOON: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// The deadlines of all holds.
pub struct Deadlines {
    journal: Journal,
    follower: Follower,
    due: BinaryHeap<Reverse<(DateTime<Utc>, BookingId)>>,
    metadata: Metadata,
    pace: Pace,
    /// When it was last counted how many are due soon.
    counted_at: Option<Instant>,
}

impl Deadlines {
    /// Of every hold there is.
    pub async fn resume(journal: &Journal) -> Result<Self, StepError> {
        // From here on the log tells; what was held before is in the concerts' states.
        let follower = journal.follow(journal.position());
        let concerts: Vec<String> =
            sqlx::query_scalar("SELECT aggregate_id FROM events WHERE aggregate_type = 'concert' AND sequence = 1")
                .fetch_all(journal.pool())
                .await?;
        let mut due = BinaryHeap::new();
        for id in concerts.iter().filter_map(|id| id.parse::<Uuid>().ok()) {
            let concert = journal.load::<Concert>(id).await?.state;
            let held = concert.allotments().filter(|(_, allotment)| allotment.state == AllotmentState::Held);
            // One of which it is not known is looked at when there is time: its payment says more.
            due.extend(
                held.map(|(booking, allotment)| {
                    Reverse((allotment.held_until.unwrap_or(DateTime::UNIX_EPOCH), booking))
                }),
            );
        }
        let metadata = Metadata::of_request("saga", "hold-deadline");
        Ok(Self { journal: journal.clone(), follower, due, metadata, pace: Pace::default(), counted_at: None })
    }

    /// With each round waiting for the saga to have seen the one before.
    pub fn at(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Expires holds at their deadlines, for ever.
    pub async fn run(&mut self) -> StepError {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    /// Takes in new holds, or expires a round of what is due, whichever comes first.
    pub async fn step(&mut self) -> Result<(), StepError> {
        let now = Utc::now();
        self.tell(now);
        let wait = self.due.peek().map_or(WAIT_MAX, |Reverse((at, _))| (*at - now).to_std().unwrap_or_default());
        tokio::select! {
            biased;
            events = self.follower.next(BATCH_EVENTS_MAX) => {
                for event in events? {
                    if &*event.event_type != "TicketsHeld" {
                        continue;
                    }
                    let decoded = event.decode(self.journal.upcasters());
                    let decoded = decoded.map_err(|source| StepError::Decode { position: event.position, source })?;
                    if let Event::Concert(ConcertEvent::TicketsHeld { booking_id, expires_at, .. }) = decoded {
                        self.due.push(Reverse((expires_at, booking_id)));
                    }
                }
                // New holds must not keep due ones waiting.
                if self.due.peek().is_some_and(|Reverse((at, _))| *at <= Utc::now()) { self.round().await } else { Ok(()) }
            }
            () = tokio::time::sleep(wait.min(WAIT_MAX)) => self.round().await,
        }
    }

    /// How many deadlines are to come, how many of them now and soon, and by how long the next one is overdue.
    #[expect(clippy::cast_precision_loss, reason = "holds and milliseconds are far below 2^52")]
    fn tell(&mut self, now: DateTime<Utc>) {
        let overdue = self.due.peek().map_or(0, |Reverse((at, _))| (now - *at).num_milliseconds().max(0));
        metrics::gauge!("holds_waiting").set(self.due.len() as f64);
        metrics::gauge!("holds_overdue_seconds").set(overdue as f64 / 1_000.0);
        // All of them are looked at for this, so not at every step.
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_INTERVAL) {
            return;
        }
        let until = |end: DateTime<Utc>| self.due.iter().filter(|Reverse((at, _))| *at <= end).count();
        metrics::gauge!("holds_due").set(until(now) as f64);
        metrics::gauge!("holds_due_in_a_minute").set(until(now + SOON) as f64);
        self.counted_at = Some(Instant::now());
    }

    /// Expires what is due now, [`ROUND_MAX`] at most, as one unit of work.
    pub async fn round(&mut self) -> Result<(), StepError> {
        let now = Utc::now();
        let mut taken = Vec::new();
        while taken.len() < ROUND_MAX
            && let Some(Reverse((at, booking))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            taken.push(booking);
        }
        if taken.is_empty() {
            return Ok(());
        }
        let outcome = self.expire(&taken, now).await;
        match &outcome {
            Ok(again) => self.due.extend(again.iter().copied().map(Reverse)),
            // Nothing happened, so all of it is still due.
            Err(_) => self.due.extend(taken.into_iter().map(|booking| Reverse((now, booking)))),
        }
        match outcome {
            Err(StepError::Append(error)) if error.is_stale() => {
                tracing::debug!(%error, "somebody was paying at that very moment; looking again");
                Ok(())
            }
            outcome => outcome.map(|_| ()),
        }
    }

    async fn expire(
        &self,
        bookings: &[BookingId],
        now: DateTime<Utc>,
    ) -> Result<Vec<(DateTime<Utc>, BookingId)>, StepError> {
        let mut unit = self.journal.unit().await;
        unit.prepare::<Booking>(&bookings.iter().map(|booking| booking.0).collect::<Vec<_>>()).await?;
        unit.prepare::<Payment>(&bookings.iter().map(|booking| PaymentId::of(*booking).0).collect::<Vec<_>>()).await?;
        let mut again = Vec::new();
        for booking in bookings {
            let payment = PaymentId::of(*booking);
            let paying = unit.state::<Payment>(payment.0).await?.clone();
            match hold_verdict(unit.state::<Booking>(booking.0).await?, &paying, now) {
                HoldVerdict::Over => {}
                HoldVerdict::NotBefore(at) => again.push((at, *booking)),
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
        if expired {
            self.pace.reached(done.last).await;
        }
        Ok(again)
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
