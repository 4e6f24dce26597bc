//! A journal with payments to be paid, and a cashier at a simulated provider.

use std::sync::Arc;

use aggregates::{
    AttemptId, BookingId, ConcertId, Money, Payment, PaymentCommand, PaymentId, Qty, UserId,
    payment::{PaymentCancelReason, Request},
};
use chrono::{DateTime, Duration, Utc};
use journal::{Journal, JournalOptions, Metadata};
use payments::{Approval, ApproveError, Cashier, GuardOptions, Provider, TossConfig, TossProvider};
use stack::Postgres;
use uuid::Uuid;

use crate::desk::{Desk, SECRET};

pub const PRICE: u64 = 110_000;

/// How long this cashier waits for the provider: longer than a busy machine needs, shorter than [`TOO_SLOW_MS`].
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
/// A latency that the cashier does not wait for.
pub const TOO_SLOW_MS: u64 = 8_000;

pub struct Till {
    pub desk: Desk,
    pub journal: Journal,
    pub cashier: Cashier,
    provider: Arc<dyn Provider>,
    postgres: Postgres,
}

impl Till {
    pub async fn open() -> Self {
        Self::guarded(GuardOptions::default()).await
    }

    pub async fn guarded(options: GuardOptions) -> Self {
        let postgres = Postgres::temp().await.unwrap();
        let journal = Journal::open(postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap();
        let desk = Desk::open().await;
        let config = TossConfig::new(format!("http://{}", desk.address), SECRET).timeout(TIMEOUT);
        let provider: Arc<dyn Provider> = Arc::new(TossProvider::new(&config).unwrap());
        let cashier = Cashier::new(journal.clone(), Arc::clone(&provider), options);
        Self { desk, journal, cashier, provider, postgres }
    }

    /// The same log, as another process sees it.
    pub async fn another_journal(&self) -> Journal {
        Journal::open(self.postgres.url().parse().unwrap(), JournalOptions::default()).await.unwrap()
    }

    pub fn provider(&self) -> Arc<dyn Provider> {
        Arc::clone(&self.provider)
    }

    /// A payment to be paid.
    pub async fn payment(&self) -> PaymentId {
        self.payment_until(Utc::now() + Duration::seconds(600)).await
    }

    /// A payment whose time is over.
    pub async fn expired_payment(&self) -> PaymentId {
        self.payment_until(Utc::now() - Duration::seconds(1)).await
    }

    async fn payment_until(&self, expires_at: DateTime<Utc>) -> PaymentId {
        let booking_id = BookingId(Uuid::now_v7());
        let payment_id = PaymentId::of(booking_id);
        let request = Request {
            payment_id,
            booking_id,
            concert_id: ConcertId(Uuid::nil()),
            user_id: UserId(Uuid::nil()),
            qty: Qty::new(1).unwrap(),
            amount: Money::krw(PRICE),
            expires_at,
        };
        self.execute(payment_id, PaymentCommand::Request(request)).await;
        payment_id
    }

    pub async fn execute(&self, payment: PaymentId, command: PaymentCommand) {
        self.journal.execute::<Payment>(payment.0, command, &metadata()).await.unwrap();
    }

    /// A try made at `now`, of which the provider has not heard.
    pub async fn attempt(&self, payment: PaymentId, attempt: AttemptId, now: DateTime<Utc>) {
        let command = PaymentCommand::Attempt { attempt_id: attempt, payment_key: attempt.to_string(), now };
        self.execute(payment, command).await;
    }

    pub async fn cancel(&self, payment: PaymentId) {
        self.execute(payment, PaymentCommand::Cancel { reason: PaymentCancelReason::BookingCanceled }).await;
    }

    pub async fn pay(&self, payment: PaymentId, attempt: AttemptId) -> Result<Approval, ApproveError> {
        self.cashier.approve(payment, attempt, attempt.to_string(), &metadata()).await
    }

    pub async fn state(&self, payment: PaymentId) -> Payment {
        self.journal.load(payment.0).await.unwrap().state
    }

    /// Names of a payment's events.
    pub async fn events(&self, payment: PaymentId) -> Vec<String> {
        let log = journal::history(self.journal.pool(), aggregates::AggregateType::Payment, payment.0).await.unwrap();
        log.iter().map(|event| event.event_type.to_string()).collect()
    }
}

pub fn metadata() -> Metadata {
    Metadata::of_request("test", "r1")
}

pub fn new_attempt() -> AttemptId {
    AttemptId(Uuid::now_v7())
}
