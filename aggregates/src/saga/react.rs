//! The saga's decision: a pure function of an event, the state of its booking as it stands now, and the time.
//!
//! The state matters where one thing overtakes another: a booking cancelled while its hold is on the way is released
//! when `TicketsHeld` arrives, not billed.

use chrono::{DateTime, Utc};

use crate::{
    Booking, BookingCommand, BookingEvent, BookingId, ConcertCommand, ConcertEvent, ConcertId, Event, PaymentCommand,
    PaymentEvent, PaymentId,
    payment::{PaymentCancelReason, Request},
};

/// A command to some aggregate.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// To a concert.
    Concert(ConcertId, ConcertCommand),
    /// To a booking.
    Booking(BookingId, BookingCommand),
    /// To a payment.
    Payment(PaymentId, PaymentCommand),
}

/// The booking whose state [`react`] needs for `event`; `None` where nothing follows from the event.
pub fn booking_of(event: &Event) -> Option<BookingId> {
    match event {
        Event::Booking(
            BookingEvent::BookingRequested { booking_id, .. }
            | BookingEvent::BookingApproved { booking_id, .. }
            | BookingEvent::BookingCanceled { booking_id, .. }
            | BookingEvent::BookingExpired { booking_id, .. },
        )
        | Event::Concert(
            ConcertEvent::TicketsHeld { booking_id, .. } | ConcertEvent::TicketsRefused { booking_id, .. },
        )
        | Event::Payment(
            PaymentEvent::PaymentApproved { booking_id, .. } | PaymentEvent::PaymentCanceled { booking_id, .. },
        ) => Some(*booking_id),
        Event::Booking(BookingEvent::BookingRejected { .. })
        | Event::Concert(
            ConcertEvent::ConcertRegistered { .. }
            | ConcertEvent::CapacityChanged { .. }
            | ConcertEvent::TicketsSold { .. }
            | ConcertEvent::TicketsReleased { .. }
            | ConcertEvent::ConcertCanceled { .. },
        )
        | Event::Payment(
            PaymentEvent::PaymentRequested { .. }
            | PaymentEvent::PaymentAttempted { .. }
            | PaymentEvent::PaymentDeclined { .. }
            | PaymentEvent::PaymentAttemptAbandoned { .. }
            | PaymentEvent::PaymentPutOff { .. }
            | PaymentEvent::PaymentCancelRequested { .. },
        )
        | Event::User(_) => None,
    }
}

/// What follows from `event`. `booking` is the one named by [`booking_of`], with at least every event of it that
/// stands before `event` in the log.
pub fn react(event: &Event, booking: &Booking, now: DateTime<Utc>) -> Vec<Command> {
    match event {
        Event::Booking(event) => on_booking(event, booking, now),
        Event::Concert(event) => on_concert(event, booking),
        Event::Payment(event) => on_payment(event, booking),
        Event::User(_) => Vec::new(),
    }
}

fn on_booking(event: &BookingEvent, booking: &Booking, now: DateTime<Utc>) -> Vec<Command> {
    let end_payment = |booking_id: BookingId, reason| {
        vec![Command::Payment(PaymentId::of(booking_id), PaymentCommand::Cancel { reason })]
    };
    match *event {
        BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty } if booking.is_live() => {
            vec![Command::Concert(concert_id, ConcertCommand::Hold { concert_id, booking_id, user_id, qty, now })]
        }
        // Cancelled since: its tickets are released when its money is back, so they are not counted as sold first.
        BookingEvent::BookingApproved { booking_id, concert_id, .. } if booking.is_live() => {
            vec![Command::Concert(concert_id, ConcertCommand::Sell { booking_id })]
        }
        BookingEvent::BookingCanceled { booking_id, .. } => {
            end_payment(booking_id, PaymentCancelReason::BookingCanceled)
        }
        BookingEvent::BookingExpired { booking_id, .. } => end_payment(booking_id, PaymentCancelReason::BookingExpired),
        BookingEvent::BookingRequested { .. }
        | BookingEvent::BookingApproved { .. }
        | BookingEvent::BookingRejected { .. } => Vec::new(),
    }
}

fn on_concert(event: &ConcertEvent, booking: &Booking) -> Vec<Command> {
    match *event {
        ConcertEvent::TicketsHeld { concert_id, booking_id, user_id, qty, amount, expires_at } => {
            if !booking.is_live() {
                return vec![Command::Concert(concert_id, ConcertCommand::Release { booking_id })];
            }
            let payment_id = PaymentId::of(booking_id);
            let request = Request { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at };
            vec![Command::Payment(payment_id, PaymentCommand::Request(request))]
        }
        ConcertEvent::TicketsRefused { booking_id, reason, available, .. } => {
            vec![Command::Booking(booking_id, BookingCommand::Reject { reason, available })]
        }
        ConcertEvent::ConcertRegistered { .. }
        | ConcertEvent::CapacityChanged { .. }
        | ConcertEvent::TicketsSold { .. }
        | ConcertEvent::TicketsReleased { .. }
        | ConcertEvent::ConcertCanceled { .. } => Vec::new(),
    }
}

fn on_payment(event: &PaymentEvent, booking: &Booking) -> Vec<Command> {
    match *event {
        PaymentEvent::PaymentApproved { payment_id, booking_id, .. } => {
            if booking.is_live() {
                vec![Command::Booking(booking_id, BookingCommand::Approve { payment_id })]
            } else {
                let reason = PaymentCancelReason::ApprovedTooLate;
                vec![Command::Payment(payment_id, PaymentCommand::Cancel { reason })]
            }
        }
        PaymentEvent::PaymentCanceled { booking_id, concert_id, .. } => {
            vec![Command::Concert(concert_id, ConcertCommand::Release { booking_id })]
        }
        PaymentEvent::PaymentRequested { .. }
        | PaymentEvent::PaymentAttempted { .. }
        | PaymentEvent::PaymentDeclined { .. }
        | PaymentEvent::PaymentAttemptAbandoned { .. }
        | PaymentEvent::PaymentPutOff { .. }
        | PaymentEvent::PaymentCancelRequested { .. } => Vec::new(),
    }
}
