//! The Payment object (`https://docs.tosspayments.com/reference`, API version 2022-11-16), as far as we read it.

use aggregates::{Currency, PaymentId};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Number;

use super::wire;
use crate::provider::{Doubt, ProviderCancel, ProviderPayment, ProviderStatus};

/// Members that we do not need are left unread, and new ones do not disturb.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TossPayment {
    payment_key: String,
    order_id: PaymentId,
    status: TossStatus,
    currency: Currency,
    total_amount: Number,
    balance_amount: Number,
    approved_at: Option<DateTime<Utc>>,
    cancels: Option<Vec<TossCancel>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TossStatus {
    Ready,
    InProgress,
    WaitingForDeposit,
    Done,
    Canceled,
    PartialCanceled,
    Aborted,
    Expired,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TossCancel {
    transaction_key: String,
    cancel_amount: Number,
    cancel_reason: String,
    canceled_at: DateTime<Utc>,
    cancel_status: Option<String>,
}

impl TossCancel {
    /// Abroad a cancellation can be on its way for a while, or fail in the end.
    fn is_through(&self) -> bool {
        self.cancel_status.as_deref().is_none_or(|status| status == "DONE")
    }
}

impl TryFrom<TossPayment> for ProviderPayment {
    type Error = Doubt;

    fn try_from(toss: TossPayment) -> Result<Self, Doubt> {
        let money = |number: &Number| {
            wire::from_number(number, toss.currency)
                .ok_or_else(|| Doubt::Unreadable(format!("{number} is no amount").into()))
        };
        let cancels = toss.cancels.iter().flatten().filter(|cancel| cancel.is_through()).map(|cancel| {
            Ok(ProviderCancel {
                transaction_key: cancel.transaction_key.clone(),
                amount: money(&cancel.cancel_amount)?,
                reason: cancel.cancel_reason.clone(),
                canceled_at: cancel.canceled_at,
            })
        });
        Ok(Self {
            cancels: cancels.collect::<Result<_, Doubt>>()?,
            amount: money(&toss.total_amount)?,
            balance: money(&toss.balance_amount)?,
            status: toss.status.into(),
            approved_at: toss.approved_at,
            order_id: toss.order_id,
            payment_key: toss.payment_key,
        })
    }
}

/// The status of this name, if it is one that we know.
pub(crate) fn status_named(name: &str) -> Option<ProviderStatus> {
    serde_json::from_value::<TossStatus>(name.into()).ok().map(Into::into)
}

impl From<TossStatus> for ProviderStatus {
    fn from(status: TossStatus) -> Self {
        match status {
            TossStatus::Ready => Self::Ready,
            TossStatus::InProgress => Self::InProgress,
            TossStatus::WaitingForDeposit => Self::WaitingForDeposit,
            TossStatus::Done => Self::Done,
            TossStatus::Canceled => Self::Canceled,
            TossStatus::PartialCanceled => Self::PartialCanceled,
            TossStatus::Aborted => Self::Aborted,
            TossStatus::Expired => Self::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use aggregates::Money;

    use super::*;

    /// After the example of the API reference, with an order id of ours and a cancellation on its way added.
    const PAYMENT: &str = r#"{
        "mId": "tosspayments", "lastTransactionKey": "9C62B18EEF0DE3EB7F4422EB6D14BC6E", "version": "2022-11-16",
        "paymentKey": "5EnNZRJGvaBX7zk2yd8ydw26XvwXkLrx9POLqKQjmAw4b0e1",
        "orderId": "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "orderName": "t", "currency": "KRW", "method": "카드",
        "status": "PARTIAL_CANCELED", "requestedAt": "2024-02-13T12:17:57+09:00",
        "approvedAt": "2024-02-13T12:18:14+09:00", "useEscrow": false, "totalAmount": 1000, "balanceAmount": 400,
        "cancels": [
            {"transactionKey": "a", "cancelReason": "r", "canceledAt": "2024-02-13T12:20:23+09:00",
             "cancelAmount": 600, "taxFreeAmount": 0, "cancelStatus": "DONE"},
            {"transactionKey": "b", "cancelReason": "r", "canceledAt": "2024-02-13T12:21:23+09:00",
             "cancelAmount": 400, "taxFreeAmount": 0, "cancelStatus": "IN_PROGRESS"}
        ]
    }"#;

    #[test]
    fn the_documented_object_is_read() {
        let toss: TossPayment = serde_json::from_str(PAYMENT).unwrap();
        let payment = ProviderPayment::try_from(toss).unwrap();
        assert_eq!((payment.amount, payment.balance), (Money::krw(1_000), Money::krw(400)));
        assert_eq!(payment.status, ProviderStatus::PartialCanceled);
        assert_eq!(payment.approved_at.unwrap().to_rfc3339(), "2024-02-13T03:18:14+00:00");
        assert_eq!(payment.cancels.iter().map(|cancel| cancel.amount.amount).collect::<Vec<_>>(), [600]);
    }

    #[test]
    fn an_amount_that_is_none_is_doubt() {
        let toss: TossPayment = serde_json::from_str(&PAYMENT.replace("1000", "1000.5")).unwrap();
        assert!(matches!(ProviderPayment::try_from(toss), Err(Doubt::Unreadable(_))));
    }
}
