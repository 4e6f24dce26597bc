//! Races about one payment, made deterministic by doors: whoever is first, the log and the provider's books agree.
//! (What the saga and the deadlines do meanwhile is proved in `proof`.)

use std::{sync::Arc, time::Duration};

use aggregates::{AttemptId, PaymentError, PaymentId, PaymentStatus};
use chrono::Utc;
use journal::{ExecuteError, Journal, JournalOptions};
use payments::{Approval, ApproveError, Cashier, GuardOptions, due::Attendant};
use stack::testing::Door;
use tokio::task::JoinHandle;

use crate::{
    due::note_all,
    gated::Gated,
    till::{PRICE, Till, metadata, new_attempt},
};

/// Older than the attendant leaves alone.
const LONG_AGO: Duration = Duration::from_secs(11);

struct Race {
    till: Till,
    gated: Arc<Gated>,
    cashier: Cashier,
    payment: PaymentId,
}

impl Race {
    async fn prepare() -> Self {
        let till = Till::open().await;
        let gated = Arc::new(Gated::new(till.desk.toss.clone()));
        let cashier = Cashier::new(till.journal.clone(), Arc::clone(&gated) as _, GuardOptions::default());
        let payment = till.payment().await;
        Self { till, gated, cashier, payment }
    }

    /// Somebody pays, and is stopped at a door.
    async fn pays_until(
        &self,
        door: &Door,
        attempt: AttemptId,
        key: &str,
    ) -> JoinHandle<Result<Approval, ApproveError>> {
        door.shut();
        let paying = self.pays(&self.cashier, attempt, key);
        door.somebody().await;
        paying
    }

    fn pays(&self, cashier: &Cashier, attempt: AttemptId, key: &str) -> JoinHandle<Result<Approval, ApproveError>> {
        let (cashier, payment, key) = (cashier.clone(), self.payment, key.to_owned());
        tokio::spawn(async move { cashier.approve(payment, attempt, key, &metadata()).await })
    }

    /// Everything that is due for payments is noted and attended to, without the waits.
    async fn attend(&self) {
        let attendant = Attendant::new(self.till.journal.clone(), self.till.provider());
        for _ in 0..4 {
            note_all(&self.till).await;
            attendant.round().await.unwrap();
        }
    }

    /// The payment has ended, and what was charged went back.
    async fn assert_over(&self, charged: u64) {
        self.attend().await;
        assert_eq!(self.till.state(self.payment).await.status(), Some(PaymentStatus::PaymentCanceled));
        let counts = self.till.desk.counts();
        assert_eq!((counts.charged, counts.refunded), (charged, charged));
    }
}

fn is_approved(outcome: &Result<Approval, ApproveError>) -> bool {
    matches!(outcome, Ok(Approval::Approved { .. }))
}

#[tokio::test]
async fn cancelled_while_the_provider_is_asked_the_money_goes_back_as_soon_as_it_has_come() {
    for nth in 0..2 {
        let race = Race::prepare().await;
        // Before the provider has heard of it, or when its answer is on the way.
        let door = [&race.gated.before, &race.gated.after][nth];
        let paying = race.pays_until(door, new_attempt(), "key").await;
        race.till.cancel(race.payment).await;
        race.attend().await;
        let state = race.till.state(race.payment).await;
        assert!(state.in_flight().is_some() && state.is_cancel_requested(), "nobody knows yet: {state:?}");
        door.let_one_through();
        assert!(is_approved(&paying.await.unwrap()), "the money did come");
        race.assert_over(PRICE).await;
        assert_eq!(
            race.till.events(race.payment).await,
            ["PaymentRequested", "PaymentAttempted", "PaymentCancelRequested", "PaymentApproved", "PaymentCanceled"]
        );
    }
}

#[tokio::test]
async fn cancelled_while_the_provider_is_asked_a_decline_ends_it() {
    for nth in 0..2 {
        let race = Race::prepare().await;
        let door = [&race.gated.before, &race.gated.after][nth];
        let paying = race.pays_until(door, new_attempt(), "decline").await;
        race.till.cancel(race.payment).await;
        door.let_one_through();
        let outcome = paying.await.unwrap();
        assert!(matches!(outcome, Ok(Approval::Declined { .. })), "{outcome:?}");
        race.assert_over(0).await;
    }
}

#[tokio::test]
async fn who_pays_after_the_cancellation_is_refused_and_the_provider_never_hears_of_it() {
    let race = Race::prepare().await;
    race.till.cancel(race.payment).await;
    let outcome = race.pays(&race.cashier, new_attempt(), "key").await.unwrap();
    assert!(
        matches!(outcome, Err(ApproveError::Execute(ExecuteError::Refused(PaymentError::Canceled)))),
        "{outcome:?}"
    );
    race.assert_over(0).await;
    assert_eq!(race.till.desk.counts().calls, 0);
}

#[tokio::test]
async fn a_try_that_is_given_up_while_its_call_is_on_the_way_is_paid_all_the_same() {
    let race = Race::prepare().await;
    let attempt = new_attempt();
    race.till.attempt(race.payment, attempt, Utc::now() - LONG_AGO).await;
    // The same try again, by a process that stands still for a while.
    let paying = race.pays_until(&race.gated.before, attempt, "key").await;
    race.attend().await;
    assert!(race.till.state(race.payment).await.refused(attempt).is_some(), "given up");
    race.gated.before.let_one_through();
    assert!(is_approved(&paying.await.unwrap()));
    race.attend().await;
    assert_eq!(
        race.till.events(race.payment).await,
        ["PaymentRequested", "PaymentAttempted", "PaymentAttemptAbandoned", "PaymentApproved"]
    );
    assert_eq!(race.till.desk.counts().charged, PRICE);
}

#[tokio::test]
async fn a_try_that_is_given_up_and_cancelled_while_its_call_is_on_the_way_is_paid_back() {
    let race = Race::prepare().await;
    let attempt = new_attempt();
    race.till.attempt(race.payment, attempt, Utc::now() - LONG_AGO).await;
    let paying = race.pays_until(&race.gated.before, attempt, "key").await;
    race.till.cancel(race.payment).await;
    race.attend().await;
    assert_eq!(race.till.state(race.payment).await.status(), Some(PaymentStatus::PaymentCanceled), "given up");
    race.gated.before.let_one_through();
    assert!(is_approved(&paying.await.unwrap()), "the money did come");
    race.assert_over(PRICE).await;
}

#[tokio::test]
async fn the_attendant_and_the_cashier_learn_of_the_same_money_once() {
    let race = Race::prepare().await;
    let attempt = new_attempt();
    race.till.attempt(race.payment, attempt, Utc::now() - LONG_AGO).await;
    // The answer is on its way when the attendant looks.
    let paying = race.pays_until(&race.gated.after, attempt, &attempt.to_string()).await;
    race.attend().await;
    assert_eq!(race.till.state(race.payment).await.status(), Some(PaymentStatus::PaymentApproved));
    race.gated.after.let_one_through();
    assert!(is_approved(&paying.await.unwrap()));
    let events = race.till.events(race.payment).await;
    assert_eq!(events, ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
}

#[tokio::test]
async fn two_clicks_in_two_processes_charge_once() {
    let race = Race::prepare().await;
    let options = race.till.journal.connect_options().clone();
    let other = Journal::open(options, JournalOptions::default()).await.unwrap();
    let elsewhere = Cashier::new(other.clone(), Arc::clone(&race.gated) as _, GuardOptions::default());
    let first = race.pays_until(&race.gated.before, new_attempt(), "one").await;
    // The second finds the first under way, and asks what becomes of it, under its name.
    let second = race.pays(&elsewhere, new_attempt(), "two");
    race.gated.before.somebody().await;
    race.gated.before.let_one_through();
    race.gated.before.let_one_through();
    for outcome in [first.await.unwrap(), second.await.unwrap()] {
        assert!(is_approved(&outcome), "{outcome:?}");
    }
    race.till.journal.reached(other.position()).await;
    assert_eq!(race.till.events(race.payment).await, ["PaymentRequested", "PaymentAttempted", "PaymentApproved"]);
    let counts = race.till.desk.counts();
    assert_eq!((counts.charged, counts.money_movements), (PRICE, 1));
}
