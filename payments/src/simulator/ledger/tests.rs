use super::*;

fn charge(payment_key: &str, order_id: &str, won: u64) -> Charge {
    Charge {
        payment_key: payment_key.into(),
        order_id: order_id.into(),
        amount: Money::krw(won),
        declined: false,
        at: DateTime::UNIX_EPOCH,
    }
}

fn give_back(payment_key: &str, amount: Option<u64>) -> GiveBack {
    let (at, reason) = (DateTime::UNIX_EPOCH, "changed plans".into());
    GiveBack { payment_key: payment_key.into(), amount, balance: None, reason, at }
}

fn confirm(ledger: &mut Ledger, charge: Charge) -> Answer {
    let decided = ledger.confirm(charge)?;
    ledger.make(decided)
}

fn cancel(ledger: &mut Ledger, wanted: GiveBack) -> Answer {
    let decided = ledger.cancel(wanted)?;
    ledger.make(decided)
}

fn refusal<T>(result: Result<T, Refusal>) -> Refusal {
    result.err().unwrap()
}

#[test]
fn a_key_is_charged_once() {
    let mut ledger = Ledger::default();
    confirm(&mut ledger, charge("k1", "order1", 500)).unwrap();
    assert_eq!(refusal(confirm(&mut ledger, charge("k1", "order1", 500))), Refusal::AlreadyProcessed);
    assert_eq!(refusal(confirm(&mut ledger, charge("k2", "order1", 500))), Refusal::DuplicatedOrder);
    assert_eq!(refusal(confirm(&mut ledger, charge("k1", "order2", 500))), Refusal::NoSession);
    assert!(matches!(refusal(confirm(&mut ledger, charge("k1", "order1", 400))), Refusal::Invalid(_)));
    assert_eq!((ledger.counts.approvals, ledger.counts.charged), (1, 500));
}

#[test]
fn after_a_decline_the_order_may_be_paid() {
    let mut ledger = Ledger::default();
    let declined = Charge { declined: true, ..charge("k1", "order1", 500) };
    assert_eq!(refusal(confirm(&mut ledger, declined)), Refusal::CardDeclined);
    assert_eq!(ledger.by_order("order1").unwrap().status, Status::Aborted);
    assert_eq!(refusal(cancel(&mut ledger, give_back("k1", None))), Refusal::NotCancelable);
    assert_eq!(refusal(confirm(&mut ledger, charge("decline-2", "order1", 500))), Refusal::CardDeclined);
    confirm(&mut ledger, charge("k1", "order1", 500)).unwrap();
    assert_eq!(ledger.by_order("order1").unwrap().status, Status::Done);
    assert_eq!(ledger.counts.money_movements, 1);
}

#[test]
fn no_more_is_given_back_than_was_taken() {
    let mut ledger = Ledger::default();
    assert_eq!(refusal(cancel(&mut ledger, give_back("k1", None))), Refusal::NoPayment);
    confirm(&mut ledger, charge("k1", "order1", 500)).unwrap();
    assert_eq!(cancel(&mut ledger, give_back("k1", Some(200))).unwrap().status, Status::PartialCanceled);
    assert_eq!(refusal(cancel(&mut ledger, give_back("k1", Some(301)))), Refusal::NotCancelableAmount);
    assert_eq!(cancel(&mut ledger, give_back("k1", None)).unwrap().status, Status::Canceled);
    assert_eq!(refusal(cancel(&mut ledger, give_back("k1", None))), Refusal::AlreadyCanceled);
    assert_eq!((ledger.counts.cancellations, ledger.counts.refunded), (2, 500));
}

#[test]
fn nothing_is_given_back_where_another_amount_is_left_than_the_caller_thinks() {
    let mut ledger = Ledger::default();
    confirm(&mut ledger, charge("k1", "order1", 500)).unwrap();
    cancel(&mut ledger, give_back("k1", Some(200))).unwrap();
    let wanted = |balance| GiveBack { balance: Some(balance), ..give_back("k1", Some(100)) };
    assert_eq!(refusal(cancel(&mut ledger, wanted(500))), Refusal::OtherBalance);
    assert_eq!(cancel(&mut ledger, wanted(300)).unwrap().balance(), 200);
}
