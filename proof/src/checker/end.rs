//! What must be true once everything has settled, all deadlines included.

use std::collections::BTreeMap;

use aggregates::{BookingId, BookingStatus, PaymentId, PaymentStatus, concert::AllotmentState};

use super::Checker;
use crate::Breach;

/// What the provider's books say of one payment, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// What was taken from the buyer, in all.
    pub charged: u64,
    /// What was given back, in all.
    pub refunded: u64,
}

impl Checker {
    /// Checks that nothing is left to do, that no dead booking has tickets, and that the provider's `books` are the log's, to
    /// the won.
    pub fn settled(&self, books: &BTreeMap<PaymentId, Moved>) -> Result<(), Breach> {
        self.check_bookings()
            .and_then(|()| self.check_tickets())
            .and_then(|()| self.check_money(books))
            .map_err(Breach::in_the_end)
    }

    /// What moved, for each payment, as the log tells it.
    pub fn moved(&self) -> BTreeMap<PaymentId, Moved> {
        let moved = self.purses.iter().map(|(payment, purse)| (*payment, purse.moved()));
        moved.map(|(payment, (charged, refunded))| (payment, Moved { charged, refunded })).collect()
    }

    /// Where each booking is.
    pub fn statuses(&self) -> BTreeMap<BookingId, Option<BookingStatus>> {
        self.bookings.iter().map(|(id, booking)| (*id, booking.status())).collect()
    }

    fn check_bookings(&self) -> Result<(), String> {
        for (id, booking) in &self.bookings {
            let payment = self.payments.get(&PaymentId::of(*id));
            let paid = payment.and_then(aggregates::Payment::status) == Some(PaymentStatus::PaymentApproved);
            let status = booking.status();
            match status {
                Some(BookingStatus::BookingApproved) if paid => {}
                Some(
                    BookingStatus::BookingRejected | BookingStatus::BookingCanceled | BookingStatus::BookingExpired,
                ) if !paid => {}
                // Invariant 4, and that all holds end.
                _ => return Err(format!("{id:?} is {status:?}, its payment {payment:?}")),
            }
            if let Some(payment) = payment
                && (payment.in_flight().is_some() || payment.refund_due().is_some())
            {
                return Err(format!("{id:?}: its payment is not settled: {payment:?}"));
            }
        }
        Ok(())
    }

    /// Invariant 8, and that what is paid is sold.
    fn check_tickets(&self) -> Result<(), String> {
        for (concert_id, concert) in &self.concerts {
            let (mut held, mut sold) = (0, 0);
            for (id, allotment) in concert.allotments() {
                let status = self.bookings.get(&id).and_then(aggregates::Booking::status);
                let approved = status == Some(BookingStatus::BookingApproved);
                match allotment.state {
                    AllotmentState::Held => held += allotment.qty.get(),
                    AllotmentState::Sold => sold += allotment.qty.get(),
                    AllotmentState::Released | AllotmentState::Refused => {}
                }
                if approved != (allotment.state == AllotmentState::Sold) || allotment.state == AllotmentState::Held {
                    return Err(format!("{id:?} is {status:?} and its tickets are {:?}", allotment.state));
                }
                if approved && concert.is_canceled() {
                    return Err(format!("{id:?} is approved, but its concert was called off"));
                }
            }
            let counts = concert.counts();
            if (counts.held, counts.sold) != (held, sold) {
                return Err(format!("{concert_id:?} counts {counts:?}; its bookings hold {held} and bought {sold}"));
            }
        }
        Ok(())
    }

    fn check_money(&self, books: &BTreeMap<PaymentId, Moved>) -> Result<(), String> {
        for payment in self.purses.keys().chain(books.keys()) {
            let (charged, refunded) = self.purses.get(payment).map_or((0, 0), super::Purse::moved);
            let journal = Moved { charged, refunded };
            let provider = books.get(payment).copied().unwrap_or_default();
            if journal != provider {
                return Err(format!("{payment:?}: the journal has {journal:?}, the provider {provider:?}"));
            }
        }
        let approved =
            self.bookings.iter().filter(|(_, booking)| booking.status() == Some(BookingStatus::BookingApproved));
        let owed = approved.filter_map(|(id, _)| self.payments.get(&PaymentId::of(*id))?.request());
        let owed: u64 = owed.map(|request| request.amount.amount).sum();
        let kept: u64 = books.values().map(|moved| moved.charged - moved.refunded).sum();
        if owed == kept {
            Ok(())
        } else {
            Err(format!("approved bookings are worth {owed}, the provider keeps {kept}"))
        }
    }
}
