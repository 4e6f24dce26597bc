//! Whether an event is one that its aggregate could come to: the command that leads to it is decided again, by the same
//! code that decided it then.

use std::fmt::Debug;

use aggregates::{
    Booking, BookingCommand, BookingEvent, Decide, Payment, PaymentCommand, PaymentEvent, PaymentStatus,
    booking::Request as BookingRequest,
    concert::{Allotment, AllotmentState},
    payment::{Outcome, PUT_OFF_MAX, PaymentCancelReason, Request},
};

/// What was expected, and what was found.
pub(super) type Unlawful = (String, String);

/// Decides `command` again. Where it led to several events, each but the first is found by its own rule.
fn decided<A: Decide>(state: &A, command: A::Command, event: &A::Event) -> Result<(), Unlawful>
where
    A::Event: PartialEq + Debug,
{
    match state.decide(command) {
        Ok(events) if events.first() == Some(event) => Ok(()),
        Ok(events) => Err((
            events.first().map_or_else(|| "no event: nothing follows here".to_owned(), |event| format!("{event:?}")),
            format!("{event:?}"),
        )),
        Err(refusal) => Err((format!("none: {refusal}"), format!("{event:?}"))),
    }
}

/// An event of a booking.
pub(super) fn booking(state: &Booking, event: &BookingEvent) -> Result<(), Unlawful> {
    let command = match *event {
        BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty } => {
            BookingCommand::Request(BookingRequest { booking_id, concert_id, user_id, qty })
        }
        BookingEvent::BookingApproved { payment_id, .. } => BookingCommand::Approve { payment_id },
        BookingEvent::BookingRejected { reason, available, .. } => BookingCommand::Reject { reason, available },
        BookingEvent::BookingCanceled { reason, .. } => BookingCommand::Cancel { reason },
        BookingEvent::BookingExpired { .. } => BookingCommand::Expire,
    };
    decided(state, command, event)
}

/// A booking is rejected only where its concert has refused.
pub(super) fn rejection(tickets: Option<&Allotment>) -> Result<(), Unlawful> {
    match tickets.map(|tickets| tickets.state) {
        Some(AllotmentState::Refused) => Ok(()),
        Some(AllotmentState::Held | AllotmentState::Sold | AllotmentState::Released) | None => {
            Err(("TicketsRefused before it".to_owned(), format!("tickets that are {tickets:?}")))
        }
    }
}

/// An event of a payment.
pub(super) fn payment(state: &Payment, event: &PaymentEvent) -> Result<(), Unlawful> {
    let ending = state.is_cancel_requested();
    let command = match event {
        &PaymentEvent::PaymentRequested { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at } => {
            PaymentCommand::Request(Request { payment_id, booking_id, concert_id, user_id, qty, amount, expires_at })
        }
        PaymentEvent::PaymentAttempted { attempt_id, payment_key, attempted_at, .. } => {
            PaymentCommand::Attempt { attempt_id: *attempt_id, payment_key: payment_key.clone(), now: *attempted_at }
        }
        PaymentEvent::PaymentDeclined { attempt_id, code, message, .. } => PaymentCommand::Settle {
            attempt_id: *attempt_id,
            outcome: Outcome::Declined { code: code.clone(), message: message.clone() },
        },
        PaymentEvent::PaymentAttemptAbandoned { attempt_id, reason, .. } => {
            PaymentCommand::Settle { attempt_id: *attempt_id, outcome: Outcome::NotDone { reason: reason.clone() } }
        }
        PaymentEvent::PaymentApproved { attempt_id, payment_key, approved_at, .. } => PaymentCommand::Settle {
            attempt_id: *attempt_id,
            outcome: Outcome::Approved { approved_at: *approved_at, payment_key: payment_key.clone() },
        },
        PaymentEvent::PaymentPutOff { .. } => return put_off(state, event),
        // Money that came after all, of a payment that had ended: its approval and this are one decision.
        PaymentEvent::PaymentCancelRequested { reason: PaymentCancelReason::ApprovedTooLate, .. }
            if ending && state.status() == Some(PaymentStatus::PaymentApproved) =>
        {
            return Ok(());
        }
        PaymentEvent::PaymentCancelRequested { reason, .. } => PaymentCommand::Cancel { reason: *reason },
        PaymentEvent::PaymentCanceled { refunded: true, .. } => PaymentCommand::Refunded,
        // The last try came to nothing, of a payment that was to end: the try's outcome and this are one decision.
        PaymentEvent::PaymentCanceled { refunded: false, .. } if ending => return ended(state, event),
        PaymentEvent::PaymentCanceled { refunded: false, .. } => {
            PaymentCommand::Cancel { reason: PaymentCancelReason::BookingCanceled }
        }
    };
    decided(state, command, event)
}

/// When it was put off is not in the log, so this cannot be decided again; but it goes forward, within its bound.
fn put_off(state: &Payment, event: &PaymentEvent) -> Result<(), Unlawful> {
    let PaymentEvent::PaymentPutOff { expires_at, .. } = event else { return Ok(()) };
    let payable = state.status() == Some(PaymentStatus::PaymentRequested) && !state.is_cancel_requested();
    let bounds = state.expires_at().zip(state.request().map(|request| request.expires_at + PUT_OFF_MAX));
    match bounds {
        Some((now, most)) if payable && now < *expires_at && *expires_at <= most => Ok(()),
        Some((now, most)) if payable => {
            Err((format!("an end after {now}, and not after {most}"), expires_at.to_string()))
        }
        Some(_) | None => Err((format!("none: the payment is {:?}", state.status()), "PaymentPutOff".to_owned())),
    }
}

fn ended(state: &Payment, event: &PaymentEvent) -> Result<(), Unlawful> {
    let unpaid = state.status() == Some(PaymentStatus::PaymentRequested) && state.in_flight().is_none();
    let expected = state.request().map(|request| PaymentEvent::PaymentCanceled {
        payment_id: request.payment_id,
        booking_id: request.booking_id,
        concert_id: request.concert_id,
        user_id: request.user_id,
        qty: request.qty,
        amount: request.amount,
        refunded: false,
    });
    match expected {
        Some(expected) if unpaid && expected == *event => Ok(()),
        Some(expected) if unpaid => Err((format!("{expected:?}"), format!("{event:?}"))),
        Some(_) | None => Err((
            "none: a try is in flight, money has to go back first, or it has ended".to_owned(),
            format!("{event:?}"),
        )),
    }
}
