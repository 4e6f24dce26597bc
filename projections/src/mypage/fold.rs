//! What a run of events does to the histories, each row once.

use std::collections::{HashMap, HashSet};

use aggregates::{BookingEvent, BookingId, Event, Money, PaymentEvent, PaymentId, UserEvent, UserId};
use chrono::{DateTime, Utc};
use journal::Position;

use uuid::Uuid;

use super::{BookingHistory, HistoryStatus};

/// Where and when an event was recorded.
type At = (Position, DateTime<Utc>);

/// Everything to write, in this order: forget, insert, update.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Users to forget, with all that stands in the file of them.
    pub erased: HashSet<UserId>,
    /// New rows, with the position of their latest event.
    pub new: HashMap<BookingId, (BookingHistory, Position)>,
    /// What changes in rows that are in the file already.
    pub changed: HashMap<BookingId, Change>,
}

/// A later status of a booking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub status: HistoryStatus,
    /// `None`: what it was.
    pub payment: Option<(PaymentId, Money)>,
    pub updated_at: DateTime<Utc>,
    pub position: Position,
}

impl Changes {
    /// What `event`, recorded then and there, changes.
    pub fn add(&mut self, event: &Event, position: Position, recorded_at: DateTime<Utc>) {
        let at = (position, recorded_at);
        match event {
            Event::Booking(event) => self.booking(event, at),
            Event::Payment(event) => self.payment(event, at),
            Event::User(UserEvent::UserErased { user_id }) => self.erase(*user_id),
            Event::User(UserEvent::UserRegistered { .. }) | Event::Concert(_) => {}
        }
    }

    /// The booking that this payment is of, as far as it is among these changes.
    pub fn booking_paid_by(&self, payment: Uuid) -> Option<Uuid> {
        let is_of = |id: &Option<PaymentId>| id.is_some_and(|id| id.0 == payment);
        let new = self.new.values().find(|(history, _)| is_of(&history.payment_id)).map(|(new, _)| new.booking_id);
        let changed = || {
            let mut changes = self.changed.iter();
            changes.find(|(_, change)| is_of(&change.payment.map(|(id, _)| id))).map(|(id, _)| *id)
        };
        new.or_else(changed).map(|booking| booking.0)
    }

    fn booking(&mut self, event: &BookingEvent, at: At) {
        match *event {
            BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty } => {
                let history = BookingHistory {
                    id: at.0,
                    booking_id,
                    concert_id,
                    user_id,
                    status: HistoryStatus::BookingRequested,
                    qty,
                    amount: None,
                    payment_id: None,
                    requested_at: at.1,
                    updated_at: at.1,
                };
                self.new.insert(booking_id, (history, at.0));
            }
            BookingEvent::BookingApproved { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingApproved, None, at);
            }
            BookingEvent::BookingRejected { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingRejected, None, at);
            }
            BookingEvent::BookingCanceled { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingCanceled, None, at);
            }
            BookingEvent::BookingExpired { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingExpired, None, at);
            }
        }
    }

    fn payment(&mut self, event: &PaymentEvent, at: At) {
        match *event {
            PaymentEvent::PaymentRequested { payment_id, booking_id, amount, .. } => {
                self.change(booking_id, HistoryStatus::PaymentRequested, Some((payment_id, amount)), at);
            }
            PaymentEvent::PaymentApproved { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::PaymentApproved, None, at);
            }
            PaymentEvent::PaymentCanceled { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::PaymentCanceled, None, at);
            }
            // How it comes to be paid is not a status of the booking.
            PaymentEvent::PaymentAttempted { .. }
            | PaymentEvent::PaymentDeclined { .. }
            | PaymentEvent::PaymentAttemptAbandoned { .. }
            | PaymentEvent::PaymentPutOff { .. }
            | PaymentEvent::PaymentCancelRequested { .. } => {}
        }
    }

    fn change(&mut self, id: BookingId, status: HistoryStatus, payment: Option<(PaymentId, Money)>, at: At) {
        let (position, updated_at) = at;
        if let Some((history, latest)) = self.new.get_mut(&id) {
            history.status = status;
            history.updated_at = updated_at;
            if let Some((payment_id, amount)) = payment {
                (history.payment_id, history.amount) = (Some(payment_id), Some(amount));
            }
            *latest = position;
            return;
        }
        let payment = payment.or_else(|| self.changed.get(&id).and_then(|earlier| earlier.payment));
        self.changed.insert(id, Change { status, payment, updated_at, position });
    }

    /// What the batch has of the user so far goes too; a change of a row that is erased finds no row.
    fn erase(&mut self, user: UserId) {
        self.new.retain(|_, (history, _)| history.user_id != user);
        self.erased.insert(user);
    }
}
