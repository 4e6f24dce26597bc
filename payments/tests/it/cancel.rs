use aggregates::{AttemptId, Money};
use payments::{Cancel, Provider, ProviderError, ProviderStatus};
use uuid::Uuid;

use crate::desk::{Desk, cancel, confirm, new_payment};

#[tokio::test]
async fn a_payment_is_refunded_in_full() {
    let desk = Desk::open().await;
    let paid = confirm(new_payment());
    desk.toss.confirm(paid.clone()).await.unwrap();
    let refunded = desk.toss.cancel(cancel(&paid)).await.unwrap();
    assert_eq!(refunded.status, ProviderStatus::Canceled);
    assert!(refunded.status.was_charged());
    assert_eq!((refunded.amount, refunded.balance), (paid.amount, Money::krw(0)));
    let [refund] = refunded.cancels.as_slice() else { panic!("one refund: {refunded:?}") };
    assert_eq!((refund.amount, refund.reason.as_str()), (paid.amount, "concert cancelled"));
    assert_eq!((desk.counts().cancellations, desk.counts().refunded), (1, 110_000));
}

#[tokio::test]
async fn the_same_key_refunds_once_and_tells_the_same() {
    let desk = Desk::open().await;
    let paid = confirm(new_payment());
    desk.toss.confirm(paid.clone()).await.unwrap();
    let first = desk.toss.cancel(cancel(&paid)).await.unwrap();
    let again = desk.toss.cancel(cancel(&paid)).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(desk.counts().money_movements, 2);
}

#[tokio::test]
async fn another_refund_of_it_is_told_so() {
    let desk = Desk::open().await;
    let paid = confirm(new_payment());
    desk.toss.confirm(paid.clone()).await.unwrap();
    desk.toss.cancel(cancel(&paid)).await.unwrap();
    let second = Cancel { idempotency_key: AttemptId(Uuid::now_v7()), ..cancel(&paid) };
    let error = desk.toss.cancel(second).await.unwrap_err();
    assert!(matches!(error, ProviderError::AlreadyProcessed), "{error:?}");
    assert_eq!(desk.counts().cancellations, 1);
}

#[tokio::test]
async fn what_was_never_paid_is_not_found() {
    let desk = Desk::open().await;
    let error = desk.toss.cancel(cancel(&confirm(new_payment()))).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotFound), "{error:?}");
    assert!(error.is_certain());
}

#[tokio::test]
async fn what_was_declined_cannot_be_refunded() {
    let desk = Desk::open().await;
    let mut declined = confirm(new_payment());
    declined.payment_key = "decline".into();
    desk.toss.confirm(declined.clone()).await.unwrap_err();
    let error = desk.toss.cancel(cancel(&declined)).await.unwrap_err();
    assert!(matches!(&error, ProviderError::Declined { code, .. } if code == "NOT_CANCELABLE_PAYMENT"), "{error:?}");
}

#[tokio::test]
async fn a_reason_is_needed() {
    let desk = Desk::open().await;
    let silent = Cancel { reason: String::new(), ..cancel(&confirm(new_payment())) };
    let error = desk.toss.cancel(silent).await.unwrap_err();
    assert!(matches!(error, ProviderError::Rejected { .. }), "{error:?}");
    assert_eq!(desk.counts().calls, 0);
}
