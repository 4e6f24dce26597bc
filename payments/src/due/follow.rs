//! Does what follows from what the provider says of a payment, until nothing more does.

use aggregates::{Booking, BookingCommand, BookingError, BookingId, Payment, PaymentId, booking::CancelReason};
use chrono::Utc;
use journal::{ExecuteError, Journal, Metadata, with_causes};

use crate::{
    ProviderPayment,
    judge::{self, Follows},
};

/// Things that follow one from the other, at most; there are two, and somebody else may come between.
const STEPS_MAX: usize = 8;

/// What it came to.
pub(crate) enum Followed {
    /// Nothing more follows.
    Through,
    /// A person must look, and was called.
    Person(&'static str),
    /// It could not be done now.
    Later(String),
}

/// Does what follows for `payment` from what the provider says of it.
pub(crate) async fn follow(
    journal: &Journal,
    payment: PaymentId,
    paid: &ProviderPayment,
    metadata: &Metadata,
) -> Followed {
    for _ in 0..STEPS_MAX {
        let state = match journal.load::<Payment>(payment.0).await {
            Ok(loaded) => loaded.state,
            Err(error) => return Followed::Later(with_causes(&error)),
        };
        match judge::follows(&state, paid, Utc::now()) {
            Follows::Nothing => return Followed::Through,
            Follows::Person(why) => {
                call(payment, why);
                return Followed::Person(why);
            }
            Follows::CancelBooking(booking) => return cancel(journal, payment, booking, metadata).await,
            Follows::Settle(command) => match journal.execute::<Payment>(payment.0, command, metadata).await {
                Ok(_) => {
                    tracing::info!(%payment, "a try is settled by what the provider says");
                    metrics::counter!("payments_settled_by_lookup_total").increment(1);
                }
                // Somebody settled it meanwhile: look again.
                Err(ExecuteError::Refused(_)) => {}
                Err(error) => return Followed::Later(with_causes(&error)),
            },
        }
    }
    Followed::Later("the payment changes all the time".to_owned())
}

/// Calls off a booking whose money went back past us. The saga ends its payment and frees its tickets, as it does for
/// any other; the refund it asks for is found done.
async fn cancel(journal: &Journal, payment: PaymentId, booking: BookingId, metadata: &Metadata) -> Followed {
    let command = BookingCommand::Cancel { reason: CancelReason::RefundedByProvider };
    match journal.execute::<Booking>(booking.0, command, metadata).await {
        Ok(done) => {
            if done.changed {
                tracing::warn!(%payment, %booking, "refunded at the provider, past us: the booking is cancelled");
                metrics::counter!("payments_refunded_past_us_total").increment(1);
            }
            Followed::Through
        }
        // It has ended otherwise, so the saga ends the payment already.
        Err(ExecuteError::Refused(BookingError::IllegalTransition { .. })) => Followed::Through,
        Err(ExecuteError::Refused(BookingError::NoSuchBooking | BookingError::RequestedOtherwise)) => {
            let why = "a payment that was refunded at the provider has no booking";
            call(payment, why);
            Followed::Person(why)
        }
        Err(error) => Followed::Later(with_causes(&error)),
    }
}

/// There is no rule for it.
pub(super) fn call(payment: PaymentId, why: &'static str) {
    tracing::error!(%payment, why, "a person must look at this payment");
    metrics::counter!("payments_for_a_person_total").increment(1);
}
