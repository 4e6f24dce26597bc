//! Why a booking ended as it did: what decided it, how things stood then, and who had the tickets.

use std::collections::HashMap;

use aggregates::{
    AggregateType, Booking, BookingId, BookingStatus, ConcertEvent, ConcertId, Event, Payment, PaymentId, Upcasters,
    UserId, booking::CancelReason, concert::RefusalReason,
};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate as _;
use futures::TryStreamExt as _;
use journal::Position;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    Error,
    events::{Range, Told, Whose, event_at, events, history},
    tally::{Tally, Tickets},
};

/// Bookings that had tickets which are named, the latest of them; all are counted.
pub const HOLDERS_TOLD_MAX: usize = 200;

/// Why a booking is what it is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// Which booking.
    pub booking_id: BookingId,
    /// Of which concert.
    pub concert_id: ConcertId,
    /// Whose.
    pub user_id: UserId,
    /// Tickets asked for.
    pub qty: u32,
    /// What it is.
    pub status: &'static str,
    /// Why, in a sentence.
    pub because: String,
    /// The event that decided it.
    pub decided_by: Told,
    /// The concert's tickets right before that event; `None` where there is no such concert.
    pub tickets_then: Option<Tickets>,
    /// How many bookings had tickets then.
    pub holders_in_all: usize,
    /// The latest of them.
    pub holders: Vec<Holder>,
    /// What became of its money, in a sentence.
    pub money: String,
    /// Everything that happened to the booking and its payment, in order.
    pub events: Vec<Told>,
}

/// A booking that had tickets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Which booking.
    pub booking_id: BookingId,
    /// Whose.
    pub user_id: UserId,
    /// How many it had.
    pub qty: u32,
    /// Whether they were paid.
    pub sold: bool,
    /// Position at which they were set aside for it.
    pub held_at: Position,
}

/// Looks why.
pub async fn why(connection: &mut PgConnection, id: BookingId) -> Result<Why, Error> {
    let upcasters = Upcasters::current();
    let mut told = history(connection, AggregateType::Booking, id.0).await?;
    let mut booking = Booking::default();
    for event in &told {
        if let Event::Booking(event) = event.decode(&upcasters)? {
            booking.apply(event);
        }
    }
    let absent = || Error::NoSuch(AggregateType::Booking, id.0);
    let (request, status) = booking.request().zip(booking.status()).ok_or_else(absent)?;
    let last = told.last().cloned().ok_or_else(absent)?;
    let payment_id = PaymentId::of(id);
    let whose = Whose::Aggregate(AggregateType::Payment, payment_id.0);
    let paid: Vec<Told> = events(connection, whose, Range::default()).try_collect().await?;
    let mut payment = Payment::default();
    for event in &paid {
        if let Event::Payment(event) = event.decode(&upcasters)? {
            payment.apply(event);
        }
    }
    let decided_by = match status {
        // The concert decided it; the booking only says so.
        BookingStatus::BookingRejected => match cause(&last) {
            Some(position) => event_at(connection, position).await?.unwrap_or_else(|| last.clone()),
            None => last.clone(),
        },
        BookingStatus::BookingRequested
        | BookingStatus::BookingApproved
        | BookingStatus::BookingCanceled
        | BookingStatus::BookingExpired => last.clone(),
    };
    let then = standing(connection, request.concert_id, decided_by.position, &upcasters).await?;
    let because = because(&booking, status, &last, &paid, &then, id);
    told.extend(paid);
    told.sort_by_key(|event| event.position);
    let holders_in_all = then.holders.len();
    let mut holders: Vec<Holder> = then.holders.into_values().collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.held_at));
    holders.truncate(HOLDERS_TOLD_MAX);
    Ok(Why {
        booking_id: id,
        concert_id: request.concert_id,
        user_id: request.user_id,
        qty: request.qty.get(),
        status: status.as_str(),
        because,
        decided_by,
        tickets_then: then.tally.terms.is_some().then_some(then.tally.tickets),
        holders_in_all,
        holders,
        money: money(&payment),
        events: told,
    })
}

/// The position that an event follows from.
fn cause(event: &Told) -> Option<Position> {
    event.causation.as_deref()?.strip_prefix("event:")?.parse().ok().map(Position)
}

/// A concert right before a position, and who has its tickets: no more of them than it has tickets.
#[derive(Default)]
struct Standing {
    tally: Tally,
    holders: HashMap<BookingId, Holder>,
    /// The holds' deadlines that the log knows.
    held_until: HashMap<BookingId, DateTime<Utc>>,
}

async fn standing(
    connection: &mut PgConnection,
    concert: ConcertId,
    before: Position,
    upcasters: &Upcasters,
) -> Result<Standing, Error> {
    let mut standing = Standing::default();
    let range = Range { to: Some(Position(before.0.saturating_sub(1))), ..Range::default() };
    let mut told = events(connection, Whose::Aggregate(AggregateType::Concert, concert.0), range);
    while let Some(event) = told.try_next().await? {
        let Event::Concert(decoded) = event.decode(upcasters)? else { continue };
        match &decoded {
            ConcertEvent::TicketsHeld { booking_id, user_id, qty, expires_at, .. } => {
                let held_at = event.position;
                let holder =
                    Holder { booking_id: *booking_id, user_id: *user_id, qty: qty.get(), sold: false, held_at };
                standing.holders.insert(*booking_id, holder);
                standing.held_until.insert(*booking_id, *expires_at);
            }
            ConcertEvent::TicketsSold { booking_id, .. } => {
                if let Some(holder) = standing.holders.get_mut(booking_id) {
                    holder.sold = true;
                }
                standing.held_until.remove(booking_id);
            }
            ConcertEvent::TicketsReleased { booking_id, .. } => {
                standing.holders.remove(booking_id);
                standing.held_until.remove(booking_id);
            }
            ConcertEvent::ConcertRegistered { .. }
            | ConcertEvent::CapacityChanged { .. }
            | ConcertEvent::TicketsRefused { .. }
            | ConcertEvent::ConcertCanceled { .. } => {}
        }
        standing.tally.push(decoded);
    }
    Ok(standing)
}

fn because(
    booking: &Booking,
    status: BookingStatus,
    last: &Told,
    paid: &[Told],
    then: &Standing,
    id: BookingId,
) -> String {
    let asked = booking.request().map_or(0, |request| request.qty.get());
    let Tickets { capacity, held, sold, available } = then.tally.tickets;
    match status {
        BookingStatus::BookingRejected => match booking.rejection().map(|rejection| rejection.reason) {
            Some(RefusalReason::SoldOut) => format!(
                "it asked for {asked} tickets and {available} were left: of {capacity}, {sold} were sold and {held} held"
            ),
            Some(RefusalReason::MaxPerBooking) => {
                let most = then.tally.terms.as_ref().and_then(|terms| terms.max_per_booking);
                let most = most.map_or_else(|| "fewer".to_owned(), |most| most.get().to_string());
                format!("it asked for {asked} tickets, and the organizer allows {most} in one booking")
            }
            Some(RefusalReason::ConcertCanceled) => "the concert had been called off".to_owned(),
            Some(RefusalReason::NoSuchConcert) => "there was no such concert".to_owned(),
            None => "its rejection says no reason".to_owned(),
        },
        BookingStatus::BookingCanceled => {
            let who = last.actor.as_deref().unwrap_or("somebody");
            let reason = last.payload.get("reason").cloned();
            let reason = reason.and_then(|reason| serde_json::from_value::<CancelReason>(reason).ok());
            match reason {
                Some(CancelReason::ByFan) => format!("the fan called it off ({who})"),
                Some(CancelReason::ByOrganizer) => format!("the organizer called it off ({who})"),
                Some(CancelReason::ConcertCanceled) => "its concert was called off".to_owned(),
                Some(CancelReason::RefundedByProvider) => {
                    "all its money went back at the payment provider, past us".to_owned()
                }
                None => format!("it was called off ({who})"),
            }
        }
        BookingStatus::BookingExpired => {
            let put_off = paid.iter().rev().find(|event| event.event_type == "PaymentPutOff");
            let put_off = put_off.and_then(|event| event.payload.get("expiresAt")?.as_str().map(str::to_owned));
            let until = put_off.or_else(|| then.held_until.get(&id).map(DateTime::to_rfc3339));
            let until = until.unwrap_or_else(|| "its deadline".to_owned());
            let tries = |name: &str| paid.iter().filter(|event| event.event_type == name).count();
            let declined = tries("PaymentDeclined") + tries("PaymentAttemptAbandoned");
            match (tries("PaymentAttempted"), declined) {
                (0, _) => format!("nobody tried to pay it until {until}"),
                (tries, declined) => {
                    format!("it was not paid until {until}: of {tries} tries to pay, {declined} came to nothing")
                }
            }
        }
        BookingStatus::BookingApproved => "it was paid: nothing was refused".to_owned(),
        BookingStatus::BookingRequested => match then.held_until.get(&id) {
            Some(until) => format!("it is under way: its tickets are held, to be paid by {until}"),
            None => "it is under way: nothing has been decided yet".to_owned(),
        },
    }
}

fn money(payment: &Payment) -> String {
    let Some(request) = payment.request() else { return "none was asked for".to_owned() };
    let amount = format!("{} {:?}", request.amount.amount, request.amount.currency).to_uppercase();
    let Some(approved) = payment.approved() else {
        return match payment.in_flight() {
            Some(attempt) => format!("{amount} may be on its way: try {} has no outcome yet", attempt.attempt_id),
            None => format!("{amount} was asked for, and none was taken"),
        };
    };
    let at = approved.approved_at;
    match (payment.refund_due(), payment.status()) {
        (Some(_), _) => format!("{amount} was taken {at}, and is on its way back"),
        (None, Some(aggregates::PaymentStatus::PaymentCanceled)) => format!("{amount} was taken {at}, and went back"),
        (None, _) => format!("{amount} was taken {at}"),
    }
}
