//! The races between paying and what ends a booking, from the request to the provider's books, at every point where one can
//! overtake the other. Doors and steps instead of chance.

use aggregates::{BookingStatus, Counts, PaymentError};
use journal::ExecuteError;
use payments::{Approval, ApproveError};
use stack::testing::Door;

use crate::theatre::{CAPACITY, End, House, Theatre};

/// What the two tickets cost.
const AMOUNT: u64 = 110_000;
const FREE: Counts = Counts { capacity: CAPACITY, held: 0, sold: 0 };
const PAID_BACK: End = End { charged: AMOUNT, refunded: AMOUNT, tickets: FREE };
const NEVER_PAID: End = End { charged: 0, refunded: 0, tickets: FREE };
const BOUGHT: End = End { charged: AMOUNT, refunded: 0, tickets: Counts { capacity: CAPACITY, held: 0, sold: 2 } };
/// A hold that nobody waits for.
const LONG_SECONDS: u32 = 600;
/// A hold that is waited for.
const SHORT_SECONDS: u32 = 1;

/// Where somebody who pays is overtaken.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// The try is in the log; the provider has not heard of it.
    BeforeTheCall,
    /// The provider has answered; the answer is on its way.
    BeforeTheAnswer,
    /// The money is in the log; the saga has not seen it.
    Paid,
    /// The booking is approved; its tickets still count as held.
    Approved,
    /// All is done.
    Sold,
}

/// Is paid up to that point, then `overtaken`, and then goes on. Returns what the payer is told.
async fn pay_past(
    theatre: &Theatre<'_>,
    point: Point,
    payment_key: &str,
    overtaken: impl AsyncFn(),
) -> Result<Approval, ApproveError> {
    let at_door = async |door: &Door| {
        let paying = theatre.pay_until(door, payment_key).await;
        overtaken().await;
        door.let_one_through();
        paying.await.unwrap()
    };
    let reactions = match point {
        Point::BeforeTheCall => return at_door(&theatre.gated.before).await,
        Point::BeforeTheAnswer => return at_door(&theatre.gated.after).await,
        Point::Paid => 0,
        Point::Approved => 1,
        Point::Sold => 2,
    };
    let told = theatre.pay(payment_key).await.unwrap();
    for _ in 0..reactions {
        theatre.react_once().await;
    }
    overtaken().await;
    told
}

const POINTS: [Point; 5] = [Point::BeforeTheCall, Point::BeforeTheAnswer, Point::Paid, Point::Approved, Point::Sold];

#[tokio::test]
async fn a_booking_cancelled_at_any_point_of_its_payment_is_paid_back() {
    let house = House::open().await;
    for point in POINTS {
        for saga_first in [true, false] {
            let theatre = house.theatre(LONG_SECONDS).await;
            let told = pay_past(&theatre, point, "key", async || {
                assert!(theatre.cancel().await);
                assert!(!theatre.cancel().await, "twice is once");
                if saga_first {
                    theatre.react().await;
                }
            });
            assert!(matches!(told.await, Ok(Approval::Approved { .. })), "{point:?}: the money did come");
            assert_eq!(theatre.status().await, BookingStatus::BookingCanceled);
            assert_eq!(theatre.end().await, PAID_BACK, "{point:?}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_booking_cancelled_while_its_payment_is_declined_costs_nothing() {
    let house = House::open().await;
    for point in [Point::BeforeTheCall, Point::BeforeTheAnswer] {
        for saga_first in [true, false] {
            let theatre = house.theatre(LONG_SECONDS).await;
            let told = pay_past(&theatre, point, "decline", async || {
                assert!(theatre.cancel().await);
                if saga_first {
                    theatre.react().await;
                }
            });
            assert!(matches!(told.await, Ok(Approval::Declined { .. })), "{point:?}");
            assert_eq!(theatre.end().await, NEVER_PAID, "{point:?}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn who_pays_while_the_cancellation_is_under_way_is_paid_back_or_refused() {
    let house = House::open().await;
    // The booking is cancelled, and the saga has not ended its payment yet.
    for point in [Point::BeforeTheCall, Point::BeforeTheAnswer, Point::Paid] {
        let theatre = house.theatre(LONG_SECONDS).await;
        theatre.cancel().await;
        let told = pay_past(&theatre, point, "key", async || theatre.react().await);
        assert!(matches!(told.await, Ok(Approval::Approved { .. })), "{point:?}");
        assert_eq!(theatre.end().await, PAID_BACK, "{point:?}");
    }
    // The saga has ended it.
    let theatre = house.theatre(LONG_SECONDS).await;
    theatre.cancel().await;
    theatre.react().await;
    let told = theatre.pay("key").await.unwrap();
    assert!(matches!(told, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::Canceled)))), "{told:?}");
    assert_eq!(theatre.calls(), 0, "the provider never heard of it");
    assert_eq!(theatre.end().await, NEVER_PAID);
    house.close().await;
}

#[tokio::test]
async fn a_hold_whose_time_runs_out_at_any_point_of_its_payment_is_bought() {
    let house = House::open().await;
    for point in POINTS {
        let theatre = house.theatre(SHORT_SECONDS).await;
        let told = pay_past(&theatre, point, "key", async || theatre.expire().await);
        assert!(matches!(told.await, Ok(Approval::Approved { .. })), "{point:?}");
        assert_eq!(theatre.end().await, BOUGHT, "{point:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_hold_whose_time_runs_out_while_it_is_declined_ends_then() {
    let house = House::open().await;
    for point in [Point::BeforeTheCall, Point::BeforeTheAnswer] {
        let theatre = house.theatre(SHORT_SECONDS).await;
        let told = pay_past(&theatre, point, "decline", async || theatre.expire().await);
        assert!(matches!(told.await, Ok(Approval::Declined { .. })), "{point:?}");
        assert_eq!(theatre.status().await, BookingStatus::BookingRequested, "{point:?}: nobody has looked since");
        theatre.expire().await;
        assert_eq!(theatre.status().await, BookingStatus::BookingExpired, "{point:?}");
        assert_eq!(theatre.end().await, NEVER_PAID, "{point:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn who_pays_after_the_hold_has_ended_is_refused() {
    let house = House::open().await;
    for saga_first in [true, false] {
        let theatre = house.theatre(SHORT_SECONDS).await;
        theatre.expire().await;
        if saga_first {
            theatre.react().await;
        }
        let told = theatre.pay("key").await.unwrap();
        assert!(matches!(told, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::Canceled)))), "{told:?}");
        assert_eq!(theatre.end().await, NEVER_PAID);
    }
    house.close().await;
}

#[tokio::test]
async fn a_concert_called_off_at_any_point_of_a_payment_pays_it_back() {
    let house = House::open().await;
    for point in POINTS {
        let theatre = house.theatre(LONG_SECONDS).await;
        let told = pay_past(&theatre, point, "key", async || theatre.call_off().await);
        assert!(matches!(told.await, Ok(Approval::Approved { .. })), "{point:?}");
        assert_eq!(theatre.status().await, BookingStatus::BookingCanceled);
        assert_eq!(theatre.end().await, PAID_BACK, "{point:?}");
    }
    house.close().await;
}
