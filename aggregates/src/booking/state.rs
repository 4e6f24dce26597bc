//! A booking as its events have made it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BookingError, BookingEvent};
use crate::{BookingId, ConcertId, Qty, UserId, concert::RefusalReason};

/// The state of a booking: `None` before it was requested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking(Option<Requested>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Requested {
    request: Request,
    status: BookingStatus,
    /// Why there were no tickets for it.
    rejection: Option<Rejection>,
}

/// Why there were no tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The concert's reason.
    pub reason: RefusalReason,
    /// Tickets that were left when it refused.
    pub available: u32,
}

/// What the fan asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The booking's own id.
    pub booking_id: BookingId,
    /// Of which concert.
    pub concert_id: ConcertId,
    /// Whose.
    pub user_id: UserId,
    /// How many tickets.
    pub qty: Qty,
}

/// Where a booking is. The names are those of its events, as in the original system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BookingStatus {
    /// Asked for; also once tickets are held, until it is paid.
    BookingRequested,
    /// Paid.
    BookingApproved,
    /// There were no tickets.
    BookingRejected,
    /// Called off.
    BookingCanceled,
    /// Not paid in time.
    BookingExpired,
}

impl BookingStatus {
    /// Whether it can still hold or have tickets.
    pub const fn is_live(self) -> bool {
        match self {
            Self::BookingRequested | Self::BookingApproved => true,
            Self::BookingRejected | Self::BookingCanceled | Self::BookingExpired => false,
        }
    }

    /// The name, as in events and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BookingRequested => "BookingRequested",
            Self::BookingApproved => "BookingApproved",
            Self::BookingRejected => "BookingRejected",
            Self::BookingCanceled => "BookingCanceled",
            Self::BookingExpired => "BookingExpired",
        }
    }
}

impl fmt::Display for BookingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Booking {
    /// What the fan asked for; `None` where there is no such booking.
    pub fn request(&self) -> Option<Request> {
        self.0.as_ref().map(|requested| requested.request)
    }

    /// Where it is; `None` where there is no such booking.
    pub fn status(&self) -> Option<BookingStatus> {
        self.0.as_ref().map(|requested| requested.status)
    }

    /// Why there were no tickets for it; `None` unless it was rejected.
    pub fn rejection(&self) -> Option<Rejection> {
        self.0.as_ref().and_then(|requested| requested.rejection)
    }

    /// Whether it is requested or approved.
    pub fn is_live(&self) -> bool {
        self.status().is_some_and(BookingStatus::is_live)
    }

    pub(super) fn known(&self) -> Result<(Request, BookingStatus), BookingError> {
        self.0.as_ref().map(|requested| (requested.request, requested.status)).ok_or(BookingError::NoSuchBooking)
    }

    pub(super) fn evolve(&mut self, event: BookingEvent) {
        let status = match event {
            BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty } => {
                let request = Request { booking_id, concert_id, user_id, qty };
                self.0 = Some(Requested { request, status: BookingStatus::BookingRequested, rejection: None });
                return;
            }
            BookingEvent::BookingApproved { .. } => BookingStatus::BookingApproved,
            BookingEvent::BookingRejected { reason, available, .. } => {
                if let Some(requested) = &mut self.0 {
                    requested.rejection = Some(Rejection { reason, available });
                }
                BookingStatus::BookingRejected
            }
            BookingEvent::BookingCanceled { .. } => BookingStatus::BookingCanceled,
            BookingEvent::BookingExpired { .. } => BookingStatus::BookingExpired,
        };
        if let Some(requested) = &mut self.0 {
            requested.status = status;
        }
    }
}

#[cfg(test)]
pub(super) mod given {
    //! Histories that the tests of the decisions start from.

    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::{
        super::{BookingEvent, CancelReason},
        *,
    };
    use crate::{PaymentId, concert::RefusalReason};

    pub const BOOKING: BookingId = BookingId(Uuid::from_u128(1));
    pub const CONCERT: ConcertId = ConcertId(Uuid::from_u128(2));
    pub const FAN: UserId = UserId(Uuid::from_u128(3));

    pub fn request(tickets: u32) -> Request {
        let qty = Qty::new(tickets).unwrap_or_else(|error| panic!("{error}"));
        Request { booking_id: BOOKING, concert_id: CONCERT, user_id: FAN, qty }
    }

    pub fn requested() -> BookingEvent {
        let Request { booking_id, concert_id, user_id, qty } = request(2);
        BookingEvent::BookingRequested { booking_id, concert_id, user_id, qty }
    }

    pub fn approved() -> BookingEvent {
        let Request { booking_id, concert_id, user_id, qty } = request(2);
        BookingEvent::BookingApproved { booking_id, concert_id, user_id, qty, payment_id: PaymentId::of(BOOKING) }
    }

    pub fn rejected() -> BookingEvent {
        let Request { booking_id, concert_id, user_id, qty } = request(2);
        let reason = RefusalReason::SoldOut;
        BookingEvent::BookingRejected { booking_id, concert_id, user_id, qty, reason, available: 1 }
    }

    pub fn canceled() -> BookingEvent {
        let Request { booking_id, concert_id, user_id, qty } = request(2);
        BookingEvent::BookingCanceled { booking_id, concert_id, user_id, qty, reason: CancelReason::ByFan }
    }

    pub fn expired() -> BookingEvent {
        let Request { booking_id, concert_id, user_id, qty } = request(2);
        BookingEvent::BookingExpired { booking_id, concert_id, user_id, qty }
    }

    pub fn booking() -> TestFramework<Booking> {
        TestFramework::with(())
    }
}
