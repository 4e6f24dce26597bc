//! What a batch of events does to the histories, each row once.

use std::collections::{HashMap, HashSet};

use aggregates::{BookingEvent, BookingId, Event, Money, PaymentEvent, PaymentId, UserEvent, UserId};
use chrono::{DateTime, Utc};
use journal::Position;

use super::{BookingHistory, HistoryStatus};
use crate::{Batch, batch::Entry};

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
    pub fn of(batch: &Batch) -> Self {
        let mut changes = Self::default();
        batch.entries().iter().for_each(|entry| changes.add(entry));
        changes
    }

    fn add(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Booking(event) => self.booking(event, entry),
            Event::Payment(event) => self.payment(event, entry),
            Event::User(UserEvent::UserErased { user_id }) => self.erase(*user_id),
            Event::User(UserEvent::UserRegistered { .. }) | Event::Concert(_) => {}
        }
    }

    fn booking(&mut self, event: &BookingEvent, entry: &Entry) {
        match *event {
            BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty } => {
                let history = BookingHistory {
                    id: entry.recorded.position,
                    booking_id,
                    concert_id,
                    user_id,
                    status: HistoryStatus::BookingRequested,
                    qty,
                    amount: None,
                    payment_id: None,
                    requested_at: entry.recorded.recorded_at,
                    updated_at: entry.recorded.recorded_at,
                };
                self.new.insert(booking_id, (history, entry.recorded.position));
            }
            BookingEvent::BookingApproved { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingApproved, None, entry);
            }
            BookingEvent::BookingRejected { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingRejected, None, entry);
            }
            BookingEvent::BookingCanceled { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingCanceled, None, entry);
            }
            BookingEvent::BookingExpired { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::BookingExpired, None, entry);
            }
        }
    }

    fn payment(&mut self, event: &PaymentEvent, entry: &Entry) {
        match *event {
            PaymentEvent::PaymentRequested { payment_id, booking_id, amount, .. } => {
                self.change(booking_id, HistoryStatus::PaymentRequested, Some((payment_id, amount)), entry);
            }
            PaymentEvent::PaymentApproved { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::PaymentApproved, None, entry);
            }
            PaymentEvent::PaymentCanceled { booking_id, .. } => {
                self.change(booking_id, HistoryStatus::PaymentCanceled, None, entry);
            }
            // How it comes to be paid is not a status of the booking.
            PaymentEvent::PaymentAttempted { .. }
            | PaymentEvent::PaymentDeclined { .. }
            | PaymentEvent::PaymentAttemptAbandoned { .. }
            | PaymentEvent::PaymentPutOff { .. }
            | PaymentEvent::PaymentCancelRequested { .. } => {}
        }
    }

    fn change(&mut self, id: BookingId, status: HistoryStatus, payment: Option<(PaymentId, Money)>, entry: &Entry) {
        let (updated_at, position) = (entry.recorded.recorded_at, entry.recorded.position);
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
