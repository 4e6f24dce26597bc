//! A sale as it was: who asked when, and what they did then. Some 50 bytes a request.

use std::collections::HashMap;

use aggregates::{
    AggregateType, BookingId, ConcertEvent, ConcertId, Event, Upcasters,
    concert::{Allotted, RefusalReason, Terms},
};
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use sqlx::PgConnection;

use super::Outcome;
use crate::{
    Error,
    events::{Range, Whose, events},
    tally::Tally,
};

/// Microseconds since 1970, or between two times.
pub(super) type Micros = i64;

/// What somebody does who holds tickets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// After how long they pay, if they do.
    pub pays_after: Option<Micros>,
    /// After how long they call it off, if they do, paid or not.
    pub calls_off_after: Option<Micros>,
}

/// Somebody asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub at: Micros,
    pub qty: u32,
    /// `None`: tickets were refused, so nobody knows.
    pub behaviour: Option<Behaviour>,
}

/// What the organizer did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Capacity(u32),
    Cancel,
}

/// Everything of a sale that a replay needs.
#[derive(Default)]
pub(super) struct Past {
    pub terms: Option<Terms>,
    pub requests: Vec<Request>,
    pub changes: Vec<(Micros, Change)>,
    /// When the log ends, as far as this concert is concerned.
    pub end: Micros,
    pub outcome: Outcome,
}

impl Past {
    pub async fn read(connection: &mut PgConnection, concert: ConcertId) -> Result<Self, Error> {
        let upcasters = Upcasters::current();
        let (mut past, mut tally) = (Self::default(), Tally::default());
        // Until when tickets are held, by who holds them; and where in the requests they are.
        let mut asked: HashMap<BookingId, (usize, DateTime<Utc>)> = HashMap::new();
        let mut told = events(connection, Whose::Aggregate(AggregateType::Concert, concert.0), Range::default());
        while let Some(event) = told.try_next().await? {
            let Event::Concert(decoded) = event.decode(&upcasters)? else { continue };
            past.push(event.recorded_at, &decoded, tally.canceled, &mut asked);
            tally.push(decoded);
            let sold_out = tally.tickets.available <= 0 && tally.terms.is_some();
            if sold_out && past.outcome.sold_out_after_seconds.is_none() {
                past.outcome.sold_out_after_seconds = past.seconds(event.recorded_at.timestamp_micros());
            }
        }
        let tickets = tally.tickets;
        (past.outcome.sold, past.outcome.held, past.outcome.capacity) = (tickets.sold, tickets.held, tickets.capacity);
        past.terms = tally.terms;
        Ok(past)
    }

    /// Since the first request.
    fn seconds(&self, at: Micros) -> Option<f64> {
        self.requests.first().map(|first| seconds(at - first.at))
    }

    fn push(
        &mut self,
        recorded_at: DateTime<Utc>,
        event: &ConcertEvent,
        is_canceled: bool,
        asked: &mut HashMap<BookingId, (usize, DateTime<Utc>)>,
    ) {
        let at = recorded_at.timestamp_micros();
        self.end = at;
        match *event {
            ConcertEvent::ConcertRegistered { .. } => {}
            ConcertEvent::CapacityChanged { capacity, .. } => self.changes.push((at, Change::Capacity(capacity))),
            ConcertEvent::ConcertCanceled { .. } => self.changes.push((at, Change::Cancel)),
            ConcertEvent::TicketsHeld { booking_id, qty, expires_at, .. } => {
                asked.insert(booking_id, (self.requests.len(), expires_at));
                self.requests.push(Request { at, qty: qty.get(), behaviour: Some(Behaviour::default()) });
                self.outcome.requests += 1;
            }
            ConcertEvent::TicketsRefused { qty, reason, .. } => {
                self.requests.push(Request { at, qty: qty.get(), behaviour: None });
                self.outcome.requests += 1;
                let refused = match reason {
                    RefusalReason::SoldOut => &mut self.outcome.refused_sold_out,
                    RefusalReason::MaxPerBooking => &mut self.outcome.refused_max_per_booking,
                    RefusalReason::ConcertCanceled | RefusalReason::NoSuchConcert => {
                        &mut self.outcome.refused_otherwise
                    }
                };
                *refused += 1;
            }
            ConcertEvent::TicketsSold { booking_id, .. } => {
                if let Some((behaviour, since)) = self.of(booking_id, asked) {
                    behaviour.pays_after = Some(at - since);
                }
                self.outcome.sold_bookings += 1;
                self.outcome.last_sale_after_seconds = self.seconds(at);
            }
            ConcertEvent::TicketsReleased { booking_id, was, .. } => {
                let expired =
                    was == Allotted::Held && asked.get(&booking_id).is_some_and(|(_, until)| recorded_at >= *until);
                let of_all = if expired { &mut self.outcome.expired } else { &mut self.outcome.called_off };
                *of_all += 1;
                // What a cancelled concert did to its bookings is not their own doing.
                if !expired
                    && !is_canceled
                    && let Some((behaviour, since)) = self.of(booking_id, asked)
                {
                    behaviour.calls_off_after = Some(at - since);
                }
            }
        }
    }

    /// What a booking with tickets did, and since when it has them.
    fn of(
        &mut self,
        booking: BookingId,
        asked: &HashMap<BookingId, (usize, DateTime<Utc>)>,
    ) -> Option<(&mut Behaviour, Micros)> {
        let (nth, _) = asked.get(&booking)?;
        let request = self.requests.get_mut(*nth)?;
        let since = request.at;
        request.behaviour.as_mut().map(|behaviour| (behaviour, since))
    }
}

pub(super) fn seconds(micros: Micros) -> f64 {
    chrono::Duration::microseconds(micros).as_seconds_f64()
}
