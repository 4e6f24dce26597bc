//! When nothing is under way any more: every booking, its tickets and its payment say the same.

use std::sync::Mutex;

use aggregates::{BookingStatus, PaymentId, PaymentStatus, concert::AllotmentState};
use sqlx::PgPool;
use tokio::time::timeout;

use super::{Log, SOON, assert_sound, eventually, log::Folded};

impl Log {
    /// The log once nothing follows from it any more: sound, and with nothing half done.
    pub async fn settled(pool: &PgPool) -> Self {
        let open = Mutex::new(Vec::new());
        let settled = eventually("every booking to be settled", SOON.saturating_mul(2), async || {
            let unsettled = Self::read(pool).await.fold().unsettled();
            let is_settled = unsettled.is_empty();
            *open.lock().unwrap() = unsettled;
            is_settled
        });
        let is_settled = timeout(SOON, settled).await.is_ok();
        assert!(is_settled, "waited {SOON:?} for these to be settled, in vain: {:#?}", open.into_inner().unwrap());
        let log = Self::read(pool).await;
        assert_sound(&log);
        log
    }
}

impl Folded {
    /// The bookings with which something is still to happen, by itself.
    pub fn unsettled(&self) -> Vec<String> {
        let bookings = self.bookings.iter();
        let unsettled = bookings.filter_map(|(&id, booking)| {
            let allotment = self.concerts.get(&self.concert_of[&id]).and_then(|concert| concert.allotment(id));
            let payment = self.payments.get(&PaymentId::of(id));
            let in_flight = payment.is_some_and(|payment| payment.in_flight().is_some());
            let states = (
                booking.status().expect("a booking begins with its request"),
                allotment.map(|allotment| allotment.state),
                payment.and_then(aggregates::Payment::status),
            );
            let settled = is_settled(states) && !in_flight;
            (!settled).then(|| format!("{id}: {states:?}, payment attempt in flight: {in_flight}"))
        });
        unsettled.collect()
    }
}

/// Whether booking, tickets and payment fit each other, with nothing to follow before somebody asks for something.
fn is_settled(states: (BookingStatus, Option<AllotmentState>, Option<PaymentStatus>)) -> bool {
    use AllotmentState::{Held, Refused, Released, Sold};
    use BookingStatus::{BookingApproved, BookingCanceled, BookingExpired, BookingRejected, BookingRequested};
    use PaymentStatus::{PaymentApproved, PaymentCanceled, PaymentRequested};
    match states {
        // Waits for the fan to pay.
        (BookingRequested, Some(Held), Some(PaymentRequested))
        | (BookingApproved, Some(Sold), Some(PaymentApproved))
        | (BookingRejected, Some(Refused), None)
        | (BookingCanceled | BookingExpired, Some(Released), Some(PaymentCanceled))
        // Ended before it had, or would have had, any tickets.
        | (BookingCanceled | BookingExpired, Some(Released | Refused) | None, None) => true,
        (
            BookingRequested | BookingApproved | BookingRejected | BookingCanceled | BookingExpired,
            Some(Held | Sold | Released | Refused) | None,
            Some(PaymentRequested | PaymentApproved | PaymentCanceled) | None,
        ) => false,
    }
}
