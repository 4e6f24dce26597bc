//! The provider in memory answers as the simulator does, and so as far as we know as the real one.

use aggregates::{AttemptId, BookingId, Money, PaymentId};
use chrono::Utc;
use payments::{
    Cancel, Confirm, Provider, ProviderError, ProviderPayment, ProviderResult, ProviderStatus,
    simulator::{self, Simulator},
};
use proof::{Dice, bank::Bank};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::adapter;

/// Calls made of both.
const CALLS: usize = 400;
const SEED: u64 = 1;

/// What of an answer can be compared: times and movements have names of their own.
fn essence(
    answer: ProviderResult<ProviderPayment>,
) -> Result<(String, PaymentId, ProviderStatus, u64, u64), &'static str> {
    answer.map(|paid| (paid.payment_key, paid.order_id, paid.status, paid.amount.amount, paid.balance.amount)).map_err(
        |error| match error {
            ProviderError::Declined { .. } => "declined",
            ProviderError::AlreadyProcessed => "already processed",
            ProviderError::NotFound => "not found",
            ProviderError::Busy => "busy",
            ProviderError::Unreachable(_) => "unreachable",
            ProviderError::Unauthorized { .. } => "unauthorized",
            ProviderError::Rejected { .. } => "rejected",
            ProviderError::Unknown(_) => "unknown",
        },
    )
}

#[tokio::test]
async fn the_provider_in_memory_answers_as_the_simulator_does() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toss = adapter(listener.local_addr().unwrap());
    let (simulator, stop) = (Simulator::new(), CancellationToken::new());
    let serving = tokio::spawn(simulator::serve(listener, simulator.clone(), stop.clone()));
    let (mut bank, mut dice) = (Bank::default(), Dice::new(SEED));
    let order = |n: usize| PaymentId::of(BookingId(Uuid::from_u128(n as u128)));
    for nth in 0..CALLS {
        // Few of each, so that they meet; and now and then new ones, so that it goes on.
        let era = nth / 40 * 10;
        let payment_key = format!("{}-{}", dice.one_of(["key", "key", "key", "decline"]), era + dice.place(4));
        let order_id = order(era + dice.place(3));
        let idempotency_key = AttemptId(Uuid::from_u128((era + dice.place(10)) as u128));
        let now = Utc::now();
        let (theirs, ours) = match dice.below(5) {
            0..3 => {
                let amount = Money::krw(dice.one_of([1_000, 1_000, 1_000, 2_000]));
                let confirm = Confirm { payment_key, order_id, amount, idempotency_key };
                let declines = confirm.payment_key.starts_with("decline");
                let ours = bank.confirm(&confirm, declines, now);
                (toss.confirm(confirm).await, ours)
            }
            3 => {
                let cancel = Cancel { payment_key, reason: "r".to_owned(), idempotency_key };
                let ours = bank.cancel(&cancel, false, now);
                (toss.cancel(cancel).await, ours)
            }
            _ => {
                let ours = bank.by_order(order_id).cloned().ok_or(ProviderError::NotFound);
                (toss.lookup_order(order_id).await.and_then(|found| found.ok_or(ProviderError::NotFound)), ours)
            }
        };
        assert_eq!(essence(ours), essence(theirs), "call {nth}");
    }
    let counts = simulator.counts();
    let moved = bank.moved().values();
    assert_eq!(counts.charged, moved.clone().map(|moved| moved.charged).sum::<u64>());
    assert_eq!(counts.refunded, moved.map(|moved| moved.refunded).sum::<u64>());
    assert_eq!(counts.money_movements, bank.movements());
    assert!(counts.approvals > 10 && counts.cancellations > 5, "too little happened: {counts:?}");
    stop.cancel();
    serving.await.unwrap().unwrap();
}
