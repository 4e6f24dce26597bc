//! Given a payment, when something is answered, then this is done.

use aggregates::{
    AttemptId, BookingId, ConcertId, Money, Payment, PaymentCommand, PaymentError, PaymentId, Qty, UserId,
    payment::{Outcome, PaymentCancelReason, Request},
};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use super::*;
use crate::{Doubt, ProviderError, ProviderStatus, due::Kind};

const PAYMENT: PaymentId = PaymentId(Uuid::from_u128(1));
const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
const AMOUNT: Money = Money::krw(110_000);

fn attempt(n: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(50 + n))
}

fn given(commands: impl IntoIterator<Item = PaymentCommand>) -> Payment {
    let request = Request {
        payment_id: PAYMENT,
        booking_id: BookingId(Uuid::nil()),
        concert_id: ConcertId(Uuid::nil()),
        user_id: UserId(Uuid::nil()),
        qty: Qty::new(1).unwrap(),
        amount: AMOUNT,
        expires_at: NOW + Duration::minutes(10),
    };
    let mut payment = Payment::default();
    for command in [PaymentCommand::Request(request)].into_iter().chain(commands) {
        for event in payment.decide(command).unwrap() {
            cqrs_es::Aggregate::apply(&mut payment, event);
        }
    }
    payment
}

fn tried(n: u128) -> PaymentCommand {
    PaymentCommand::Attempt { attempt_id: attempt(n), payment_key: format!("key-{n}"), now: NOW }
}

fn settled(n: u128, outcome: Outcome) -> PaymentCommand {
    PaymentCommand::Settle { attempt_id: attempt(n), outcome }
}

fn declined() -> Outcome {
    Outcome::Declined { code: "NO".to_owned(), message: "no".to_owned() }
}

fn not_done() -> Outcome {
    Outcome::NotDone { reason: "nobody".to_owned() }
}

fn money() -> Outcome {
    Outcome::Approved { approved_at: NOW, payment_key: "key-1".to_owned() }
}

fn paid(status: ProviderStatus, amount: Money) -> ProviderPayment {
    ProviderPayment {
        payment_key: "key-1".to_owned(),
        order_id: PAYMENT,
        status,
        amount,
        balance: amount,
        approved_at: Some(NOW),
        cancels: Vec::new(),
    }
}

fn charged() -> ProviderPayment {
    paid(ProviderStatus::Done, AMOUNT)
}

fn no() -> ProviderError {
    ProviderError::Declined { code: "NO".to_owned(), message: "no".to_owned() }
}

fn rejected() -> ProviderError {
    ProviderError::Rejected { code: "INVALID_REQUEST".to_owned(), message: String::new() }
}

fn unauthorized() -> ProviderError {
    ProviderError::Unauthorized { code: "UNAUTHORIZED_KEY".to_owned(), message: String::new() }
}

/// The first try, at the point where the provider has been asked; `changed` if nobody can have asked before.
fn asked(changed: bool) -> Asking {
    let Step::Read(reading) = pay(attempt(1), "key-1".to_owned()) else { panic!("it begins with a look") };
    let Step::Write(intent, writing) = reading.read(&given([]), NOW) else { panic!("intent comes first") };
    assert_eq!(intent, tried(1));
    match writing.written(&given([tried(1)]), changed, NOW) {
        Step::Confirm(confirm, asking) => {
            assert_eq!((confirm.order_id, confirm.amount, confirm.idempotency_key), (PAYMENT, AMOUNT, attempt(1)));
            asking
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_settles(step: Step, expected: &Outcome) {
    match step {
        Step::Write(PaymentCommand::Settle { attempt_id, outcome }, _) => {
            assert_eq!((attempt_id, &outcome), (attempt(1), expected));
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_sends_away(step: Step) {
    assert!(matches!(step, Step::Write(PaymentCommand::PutOff { .. }, _)), "{step:?}");
}

#[test]
fn what_is_certain_is_written_down() {
    assert_settles(asked(true).answered(Ok(charged()), NOW), &money());
    assert_settles(asked(true).answered(Err(no()), NOW), &declined());
    let not_done = Outcome::NotDone { reason: unauthorized().to_string() };
    assert_settles(asked(true).answered(Err(unauthorized()), NOW), &not_done);
}

#[test]
fn a_payment_key_that_is_none_is_a_declined_try() {
    for (error, code) in [(rejected(), "INVALID_REQUEST"), (ProviderError::NotFound, "NOT_FOUND_PAYMENT")] {
        let message = match &error {
            ProviderError::Rejected { message, .. } => message.clone(),
            other => other.to_string(),
        };
        assert!(!error.is_trouble(), "{error:?}");
        let expected = Outcome::Declined { code: code.to_owned(), message };
        assert_settles(asked(true).answered(Err(error), NOW), &expected);
    }
}

#[test]
fn money_that_went_back_already_is_not_ours() {
    for status in [ProviderStatus::Canceled, ProviderStatus::PartialCanceled] {
        assert_sends_away(asked(true).answered(Ok(paid(status, AMOUNT)), NOW));
        let Step::LookUp(asking) = asked(true).answered(Err(ProviderError::AlreadyProcessed), NOW) else {
            panic!("it is looked up")
        };
        assert_sends_away(asking.found(Ok(Some(paid(status, AMOUNT))), NOW));
    }
}

#[test]
fn whoever_is_kept_away_is_told_what_needs_no_provider() {
    let kept_away = |log: Vec<PaymentCommand>, now| match keep_away(attempt(1), "key-1".to_owned()) {
        Step::Read(reading) => reading.read(&given(log), now),
        other => panic!("{other:?}"),
    };
    assert_sends_away(kept_away(vec![], NOW));
    assert_sends_away(kept_away(vec![tried(2)], NOW));
    assert!(matches!(kept_away(vec![tried(1), settled(1, money())], NOW), Step::Over(Over::Approved(_))));
    assert!(matches!(kept_away(vec![tried(1), settled(1, declined())], NOW), Step::Over(Over::Declined { .. })));
    let cancel = PaymentCommand::Cancel { reason: PaymentCancelReason::BookingCanceled };
    let canceled = kept_away(vec![cancel], NOW);
    assert!(matches!(canceled, Step::Over(Over::Refused(PaymentError::Canceled))), "{canceled:?}");
    let late = kept_away(vec![], NOW + Duration::minutes(10));
    assert!(matches!(late, Step::Over(Over::Refused(PaymentError::Expired(_)))), "{late:?}");
}

#[test]
fn what_is_not_certain_is_neither_success_nor_failure() {
    for doubt in [Doubt::Timeout, Doubt::Fault { status: 500, code: String::new(), message: String::new() }] {
        assert_sends_away(asked(true).answered(Err(doubt.into()), NOW));
    }
    // Certain, but the same try may be taken the next time.
    assert_sends_away(asked(true).answered(Err(ProviderError::Busy), NOW));
    // Certain of this call; an earlier one may have had its effect.
    assert_sends_away(asked(false).answered(Err(rejected()), NOW));
}

#[test]
fn what_was_processed_before_is_looked_up() {
    let looks_up = || match asked(true).answered(Err(ProviderError::AlreadyProcessed), NOW) {
        Step::LookUp(asking) => asking,
        other => panic!("{other:?}"),
    };
    assert_settles(looks_up().found(Ok(Some(charged())), NOW), &money());
    assert_sends_away(looks_up().found(Ok(Some(paid(ProviderStatus::Done, Money::krw(1)))), NOW));
    assert_sends_away(looks_up().found(Ok(Some(paid(ProviderStatus::Aborted, AMOUNT))), NOW));
    assert_sends_away(looks_up().found(Err(Doubt::Timeout.into()), NOW));
    let step = looks_up().found(Ok(None), NOW);
    assert!(
        matches!(step, Step::Write(PaymentCommand::Settle { outcome: Outcome::Declined { .. }, .. }, _)),
        "{step:?}"
    );
}

#[test]
fn a_try_that_was_given_up_is_made_anew_and_one_that_was_declined_is_not() {
    let second = |outcome| match pay(attempt(1), "key-1".to_owned()) {
        Step::Read(reading) => reading.read(&given([tried(1), settled(1, outcome)]), NOW),
        other => panic!("{other:?}"),
    };
    let Step::Write(PaymentCommand::Attempt { attempt_id, .. }, _) = second(not_done()) else { panic!("made anew") };
    assert_eq!(attempt_id, attempt(1).again());
    let Step::Write(PaymentCommand::Attempt { attempt_id, .. }, writing) = second(declined()) else { panic!("asked") };
    assert_eq!(attempt_id, attempt(1));
    let answer = writing.written(&given([tried(1), settled(1, declined())]), false, NOW);
    assert!(matches!(answer, Step::Over(Over::Declined { .. })), "{answer:?}");
    let answer = second(money());
    assert!(matches!(answer, Step::Over(Over::Approved(_))), "{answer:?}");
}

#[test]
fn another_try_in_the_way_is_asked_about_first() {
    let in_the_way = || {
        let Step::Read(reading) = pay(attempt(2), "key-2".to_owned()) else { panic!("it begins with a look") };
        let Step::Write(_, writing) = reading.read(&given([tried(1)]), NOW) else { panic!("intent comes first") };
        let Step::Read(reading) = writing.refused(PaymentError::AttemptInFlight(attempt(1))) else { panic!("a look") };
        match reading.read(&given([tried(1)]), NOW) {
            Step::Confirm(confirm, asking) => {
                assert_eq!((&*confirm.payment_key, confirm.idempotency_key), ("key-1", attempt(1)));
                asking
            }
            other => panic!("{other:?}"),
        }
    };
    // It was declined: now it is this one's turn, but only once.
    let Step::Write(_, writing) = in_the_way().answered(Err(no()), NOW) else { panic!("written down") };
    let step = writing.written(&given([tried(1), settled(1, declined())]), true, NOW);
    let Step::Write(PaymentCommand::Attempt { attempt_id, .. }, writing) = step else { panic!("{step:?}") };
    assert_eq!(attempt_id, attempt(2));
    let again = writing.refused(PaymentError::AttemptInFlight(attempt(3)));
    assert!(matches!(again, Step::Over(Over::Refused(PaymentError::AttemptInFlight(_)))), "{again:?}");
    // It was paid, or nobody knows: this one is not needed, or not yet.
    let Step::Write(_, writing) = in_the_way().answered(Ok(charged()), NOW) else { panic!("written down") };
    let step = writing.written(&given([tried(1), settled(1, money())]), true, NOW);
    assert!(matches!(step, Step::Over(Over::Approved(_))), "{step:?}");
    assert_sends_away(in_the_way().answered(Err(Doubt::Timeout.into()), NOW));
}

#[test]
fn what_stands_in_the_log_is_the_answer_where_somebody_else_settled_it() {
    for (log, is_approved) in
        [(vec![tried(1), settled(1, money())], true), (vec![tried(1), settled(1, not_done())], false)]
    {
        let Step::Write(_, writing) = asked(true).answered(Err(no()), NOW) else { panic!("written down") };
        let Step::Read(reading) = writing.refused(PaymentError::NotInFlight(attempt(1))) else { panic!("a look") };
        match reading.read(&given(log), NOW) {
            Step::Over(Over::Approved(_)) => assert!(is_approved),
            step => {
                assert!(!is_approved);
                assert_sends_away(step);
            }
        }
    }
}

#[test]
fn work_is_done_when_it_is_time() {
    let cancel = PaymentCommand::Cancel { reason: PaymentCancelReason::BookingCanceled };
    let open = given([tried(1)]);
    let early = NOW + SETTLE_AFTER - Duration::seconds(1);
    assert_eq!(due(Kind::Settle, PAYMENT, &open, early), Due::NotYet(Duration::seconds(1)));
    assert_eq!(due(Kind::Settle, PAYMENT, &open, NOW + SETTLE_AFTER), Due::LookUp);
    assert_eq!(due(Kind::Settle, PAYMENT, &given([tried(1), settled(1, declined())]), NOW), Due::Nothing);
    for kind in [Kind::Refund, Kind::Verify] {
        assert!(matches!(due(kind, PAYMENT, &given([tried(1), cancel.clone()]), NOW), Due::NotYet(_)), "{kind:?}");
    }
    let refund_due = given([tried(1), settled(1, money()), cancel]);
    let Due::Refund(refund) = due(Kind::Refund, PAYMENT, &refund_due, NOW) else { panic!("it goes back") };
    assert_eq!((&*refund.payment_key, refund.idempotency_key), ("key-1", AttemptId::refund(PAYMENT)));
    assert_eq!(due(Kind::Refund, PAYMENT, &given([tried(1), settled(1, money())]), NOW), Due::Nothing);
    assert_eq!(due(Kind::Verify, PAYMENT, &given([tried(1), settled(1, not_done())]), NOW), Due::LookUp);
    let paid_since = given([tried(1), settled(1, not_done()), tried(2), settled(2, money())]);
    // More may follow for what was paid, unless it goes back anyway.
    assert_eq!(due(Kind::Verify, PAYMENT, &paid_since, NOW), Due::LookUp);
    assert_eq!(due(Kind::Verify, PAYMENT, &refund_due, NOW), Due::Nothing);
    assert_eq!(due(Kind::Verify, PAYMENT, &given([]), NOW), Due::Nothing);
}

#[test]
fn a_lookup_says_what_became_of_a_try() {
    let open = given([tried(1)]);
    assert_eq!(found(Kind::Settle, &open, Some(charged()), NOW), Found::Outcome(settled(1, money())));
    for nothing in [None, Some(paid(ProviderStatus::Aborted, AMOUNT))] {
        let outcome = found(Kind::Settle, &open, nothing, NOW);
        let given_up = PaymentCommand::Settle {
            attempt_id: attempt(1),
            outcome: Outcome::NotDone { reason: "the provider knows of no money".to_owned() },
        };
        assert_eq!(outcome, Found::Outcome(given_up));
    }
    let given_up = given([tried(1), settled(1, not_done())]);
    assert_eq!(found(Kind::Verify, &given_up, Some(charged()), NOW), Found::LateMoney(settled(1, money())));
    assert_eq!(found(Kind::Verify, &given_up, None, NOW), Found::Nothing);
    let paid_since = given([tried(1), settled(1, not_done()), tried(2), settled(2, money())]);
    assert_eq!(found(Kind::Verify, &paid_since, Some(charged()), NOW), Found::Nothing);
}

#[test]
fn money_of_another_amount_is_for_a_person_until_it_went_back() {
    let other = |status| Some(paid(status, Money::krw(1)));
    let (open, given_up) = (given([tried(1)]), given([tried(1), settled(1, not_done())]));
    for status in [ProviderStatus::Done, ProviderStatus::PartialCanceled] {
        assert!(matches!(found(Kind::Settle, &open, other(status), NOW), Found::Person(_)), "{status:?}");
        assert!(matches!(found(Kind::Verify, &given_up, other(status), NOW), Found::Person(_)), "{status:?}");
    }
    let gone = found(Kind::Settle, &open, other(ProviderStatus::Canceled), NOW);
    let Found::Outcome(PaymentCommand::Settle { outcome: Outcome::NotDone { reason }, .. }) = gone else {
        panic!("{gone:?}")
    };
    assert_eq!(reason, "the provider took another amount, and gave all of it back");
    assert_eq!(found(Kind::Verify, &given_up, other(ProviderStatus::Canceled), NOW), Found::Nothing);
    assert_eq!(follows(&open, &other(ProviderStatus::Canceled).unwrap(), NOW), Follows::Nothing);
}

#[test]
fn only_an_answer_makes_a_refund() {
    for through in [Ok(paid(ProviderStatus::Canceled, AMOUNT)), Err(ProviderError::AlreadyProcessed)] {
        assert_eq!(refunded(through).unwrap(), PaymentCommand::Refunded);
    }
    for not in [no(), ProviderError::Busy, ProviderError::NotFound, Doubt::Timeout.into()] {
        assert!(refunded(Err(not)).is_err());
    }
}

#[test]
fn what_the_log_says_of_money_it_goes_on_saying() {
    let statuses = [
        ProviderStatus::Ready,
        ProviderStatus::InProgress,
        ProviderStatus::WaitingForDeposit,
        ProviderStatus::Done,
        ProviderStatus::Canceled,
        ProviderStatus::PartialCanceled,
        ProviderStatus::Aborted,
        ProviderStatus::Expired,
    ];
    let cancel = || PaymentCommand::Cancel { reason: PaymentCancelReason::BookingCanceled };
    let stages =
        [vec![], vec![tried(1)], vec![settled(1, money())], vec![cancel()], vec![PaymentCommand::Refunded]].into_iter();
    let lives: Vec<Payment> = (1..=stages.len()).map(|n| given(stages.clone().take(n).flatten())).collect();
    let mut said = Vec::new();
    for (status, key) in statuses.into_iter().flat_map(|status| [(status, "key-1"), (status, "key-2")]) {
        let told = ProviderPayment { payment_key: key.to_owned(), ..paid(status, AMOUNT) };
        let says: Vec<bool> = lives.iter().map(|payment| says_so(payment, &told, NOW)).collect();
        assert!(says.is_sorted(), "{status:?} of {key} was said and is not any more: {says:?}");
        if let Some(since) = says.iter().position(|says| *says) {
            said.push((status, key, since));
        }
    }
    // Once it is approved that it was paid; once we give it back, that it was.
    let expected = [(ProviderStatus::Done, 2), (ProviderStatus::Canceled, 3), (ProviderStatus::PartialCanceled, 3)];
    assert_eq!(said, expected.map(|(status, since)| (status, "key-1", since)));
}
