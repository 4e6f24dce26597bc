//! The provider gave the money back.

use super::{Payment, PaymentError, PaymentEvent, PaymentStatus};

impl Payment {
    pub(super) fn refunded(&self) -> Result<Vec<PaymentEvent>, PaymentError> {
        let requested = self.known()?;
        match (requested.status, requested.ending) {
            (PaymentStatus::PaymentApproved, true) => Ok(vec![requested.canceled(true)]),
            (PaymentStatus::PaymentCanceled, _) => Ok(Vec::new()),
            (PaymentStatus::PaymentApproved | PaymentStatus::PaymentRequested, _) => Err(PaymentError::NoRefundDue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{PaymentCommand::Refunded, state::given::*},
        *,
    };

    #[test]
    fn a_refund_that_was_due_ends_the_payment_once() {
        let due = vec![requested(), attempted(1), approved(1), cancel_requested()];
        payment().given(due.clone()).when(Refunded).then_expect_events(vec![canceled(true)]);
        payment().given([due, vec![canceled(true)]].concat()).when(Refunded).then_expect_events(vec![]);
    }

    #[test]
    fn a_refund_nobody_asked_for_is_refused() {
        for history in [
            vec![requested()],
            vec![requested(), attempted(1), cancel_requested()],
            vec![requested(), attempted(1), approved(1)],
        ] {
            payment().given(history).when(Refunded).then_expect_error(PaymentError::NoRefundDue);
        }
        payment().given_no_previous_events().when(Refunded).then_expect_error(PaymentError::NoSuchPayment);
    }
}
