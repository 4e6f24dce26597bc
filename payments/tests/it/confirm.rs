use aggregates::{AttemptId, Currency, Money};
use payments::{Confirm, Doubt, Provider, ProviderError, ProviderStatus};
use serde_json::json;
use uuid::Uuid;

use crate::desk::{Desk, adapter_with, confirm, new_payment};

#[tokio::test]
async fn a_payment_is_confirmed() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    let paid = desk.toss.confirm(wanted.clone()).await.unwrap();
    assert_eq!(paid.status, ProviderStatus::Done);
    assert_eq!((paid.amount, paid.balance), (wanted.amount, wanted.amount));
    assert_eq!((paid.order_id, paid.payment_key), (wanted.order_id, wanted.payment_key));
    assert!(paid.approved_at.is_some() && paid.cancels.is_empty());
    assert_eq!(desk.counts().charged, 110_000);
}

#[tokio::test]
async fn the_same_key_moves_money_once_and_tells_the_same() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    let first = desk.toss.confirm(wanted.clone()).await.unwrap();
    let again = desk.toss.confirm(wanted.clone()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!((desk.counts().calls, desk.counts().money_movements), (2, 1));
}

#[tokio::test]
async fn another_attempt_at_a_paid_payment_is_told_so() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    let second = Confirm { idempotency_key: AttemptId(Uuid::now_v7()), ..wanted.clone() };
    let error = desk.toss.confirm(second).await.unwrap_err();
    assert!(matches!(error, ProviderError::AlreadyProcessed), "{error:?}");
    assert!(!error.is_certain() && !error.is_retryable());

    let other_card = Confirm { payment_key: "other".into(), idempotency_key: AttemptId(Uuid::now_v7()), ..wanted };
    let error = desk.toss.confirm(other_card).await.unwrap_err();
    assert!(matches!(error, ProviderError::AlreadyProcessed), "{error:?}");
    assert_eq!(desk.counts().money_movements, 1);
}

#[tokio::test]
async fn a_decline_is_certain_and_may_be_tried_again() {
    let desk = Desk::open().await;
    desk.fault(json!({"declineRate": 1})).await;
    let wanted = confirm(new_payment());
    let error = desk.toss.confirm(wanted.clone()).await.unwrap_err();
    assert!(matches!(&error, ProviderError::Declined { code, .. } if code == "REJECT_CARD_PAYMENT"), "{error:?}");
    assert!(error.is_certain() && !error.is_retryable());
    let known = desk.toss.lookup_order(wanted.order_id).await.unwrap().unwrap();
    assert_eq!(known.status, ProviderStatus::Aborted);
    assert!(!known.status.was_charged());

    desk.fault(json!({"declineRate": 0})).await;
    // The same attempt gets the same answer; a new one is new.
    let error = desk.toss.confirm(wanted.clone()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Declined { .. }), "{error:?}");
    let second = Confirm { idempotency_key: AttemptId(Uuid::now_v7()), ..wanted };
    assert_eq!(desk.toss.confirm(second).await.unwrap().status, ProviderStatus::Done);
    assert_eq!(desk.counts().money_movements, 1);
}

#[tokio::test]
async fn a_key_that_starts_with_decline_is_declined() {
    let desk = Desk::open().await;
    let wanted = Confirm { payment_key: "decline-please".into(), ..confirm(new_payment()) };
    let error = desk.toss.confirm(wanted).await.unwrap_err();
    assert!(matches!(error, ProviderError::Declined { .. }), "{error:?}");
    assert_eq!(desk.counts().money_movements, 0);
}

#[tokio::test]
async fn another_amount_than_the_payment_was_begun_with_is_refused() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    let altered = Confirm { amount: Money::krw(1), idempotency_key: AttemptId(Uuid::now_v7()), ..wanted };
    let error = desk.toss.confirm(altered).await.unwrap_err();
    assert!(matches!(&error, ProviderError::Rejected { code, .. } if code == "INVALID_REQUEST"), "{error:?}");
    assert_eq!(desk.counts().charged, 110_000);
}

#[tokio::test]
async fn an_answer_about_something_else_is_doubt() {
    let desk = Desk::open().await;
    let wanted = confirm(new_payment());
    desk.toss.confirm(wanted.clone()).await.unwrap();
    // The service goes by the idempotency key alone, and so answers these with the first payment.
    let altered = Confirm { amount: Money::krw(1), ..wanted.clone() };
    let error = desk.toss.confirm(altered).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Contradiction("totalAmount"))), "{error:?}");
    let other = Confirm { order_id: new_payment(), ..wanted };
    let error = desk.toss.confirm(other).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unknown(Doubt::Contradiction("orderId"))), "{error:?}");
    assert!(!error.is_certain() && !error.is_retryable());
}

#[tokio::test]
async fn an_unaccepted_secret_is_our_fault() {
    let desk = Desk::open_with(payments::simulator::Simulator::new().secret_key("test_sk_other")).await;
    let error = desk.toss.confirm(confirm(new_payment())).await.unwrap_err();
    assert!(matches!(&error, ProviderError::Unauthorized { code, .. } if code == "UNAUTHORIZED_KEY"), "{error:?}");
    assert!(error.is_certain() && !error.is_retryable());
    let accepted = adapter_with(desk.address, "test_sk_other", 10_000);
    accepted.confirm(confirm(new_payment())).await.unwrap();
}

#[tokio::test]
async fn dollars_are_charged_by_the_cent() {
    let desk = Desk::open().await;
    let amount = Money { amount: 1_999, currency: Currency::Usd };
    let wanted = Confirm { amount, ..confirm(new_payment()) };
    assert_eq!(desk.toss.confirm(wanted).await.unwrap().amount, amount);
    assert_eq!(desk.counts().charged, 1_999);
}

#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    let desk = Desk::open().await;
    let good = confirm(new_payment());
    for bad in [
        Confirm { amount: Money::krw(0), ..good.clone() },
        Confirm { payment_key: String::new(), ..good.clone() },
        Confirm { payment_key: "k".repeat(201), ..good.clone() },
        Confirm { payment_key: "..".into(), ..good.clone() },
    ] {
        let error = desk.toss.confirm(bad).await.unwrap_err();
        assert!(matches!(&error, ProviderError::Rejected { code, .. } if code.starts_with("LOCAL_")), "{error:?}");
    }
    assert_eq!(desk.counts().calls, 0);
}
