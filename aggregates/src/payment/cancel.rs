//! A payment shall end. At once where no money can have moved; else when the try in flight, or the refund, is through.

use super::{Payment, PaymentCancelReason, PaymentEvent, PaymentStatus, state::Requested};

impl Payment {
    pub(super) fn cancel(&self, reason: PaymentCancelReason) -> Vec<PaymentEvent> {
        match &self.0 {
            // Nothing was requested yet, so there is nothing to cancel; the saga releases the tickets otherwise.
            None => Vec::new(),
            Some(requested) if requested.ending => Vec::new(),
            Some(requested) => requested.cancel(reason),
        }
    }
}

impl Requested {
    fn cancel(&self, reason: PaymentCancelReason) -> Vec<PaymentEvent> {
        match self.status {
            PaymentStatus::PaymentRequested if self.in_flight.is_none() => vec![self.canceled(false)],
            PaymentStatus::PaymentRequested | PaymentStatus::PaymentApproved => {
                vec![PaymentEvent::PaymentCancelRequested {
                    payment_id: self.request.payment_id,
                    booking_id: self.request.booking_id,
                    reason,
                }]
            }
            PaymentStatus::PaymentCanceled => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{PaymentCommand, state::given::*},
        *,
    };

    const CANCEL: PaymentCommand = PaymentCommand::Cancel { reason: PaymentCancelReason::BookingCanceled };

    #[test]
    fn an_unpaid_payment_ends_at_once() {
        payment().given(vec![requested()]).when(CANCEL).then_expect_events(vec![canceled(false)]);
        let history = vec![requested(), attempted(1), declined(1)];
        payment().given(history).when(CANCEL).then_expect_events(vec![canceled(false)]);
    }

    #[test]
    fn money_that_moved_or_may_have_is_waited_for() {
        payment().given(vec![requested(), attempted(1)]).when(CANCEL).then_expect_events(vec![cancel_requested()]);
        let history = vec![requested(), attempted(1), approved(1)];
        payment().given(history).when(CANCEL).then_expect_events(vec![cancel_requested()]);
    }

    #[test]
    fn cancelling_again_or_nothing_has_no_effect() {
        for history in [
            vec![],
            vec![requested(), canceled(false)],
            vec![requested(), attempted(1), cancel_requested()],
            vec![requested(), attempted(1), approved(1), cancel_requested()],
        ] {
            payment().given(history).when(CANCEL).then_expect_events(vec![]);
        }
    }
}
