//! Whatever goes wrong, repeating an attempt under its key until there is an answer charges once and refunds once.

use payments::{Provider, ProviderResult};
use serde_json::json;

use crate::desk::{Desk, cancel, confirm, new_payment};

/// Payments made under faults.
const PAYMENTS: usize = 50;

/// Repetitions of one attempt; all of them failing has a chance of 0.6 to this power.
const REPETITIONS_MAX: usize = 100;

#[tokio::test]
async fn repeating_until_answered_moves_money_once() {
    let desk = Desk::open().await;
    desk.fault(json!({"failRate": 0.3, "loseAnswerRate": 0.4, "latencyMs": [0, 1]})).await;
    for _ in 0..PAYMENTS {
        let wanted = confirm(new_payment());
        settled(async || desk.toss.confirm(wanted.clone()).await).await;
        settled(async || desk.toss.cancel(cancel(&wanted)).await).await;
    }
    let counts = desk.counts();
    let expected = PAYMENTS as u64;
    assert_eq!((counts.approvals, counts.cancellations, counts.money_movements), (expected, expected, 2 * expected));
    assert_eq!((counts.charged, counts.refunded), (expected * 110_000, expected * 110_000));
}

async fn settled<T>(call: impl AsyncFn() -> ProviderResult<T>) -> T {
    for _ in 0..REPETITIONS_MAX {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
    panic!("no answer in {REPETITIONS_MAX} calls");
}
