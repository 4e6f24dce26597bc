use std::fs;

use aggregates::Money;
use chrono::DateTime;

use super::*;
use crate::simulator::{
    ledger::{Charge, GiveBack},
    record::Status,
};

fn charge(payment_key: &str, order_id: &str, declined: bool) -> Charge {
    let at = DateTime::UNIX_EPOCH;
    Charge { payment_key: payment_key.into(), order_id: order_id.into(), amount: Money::krw(500), declined, at }
}

fn pay(books: &mut Books, payment_key: &str, order_id: &str, declined: bool) -> Answer {
    let charge = charge(payment_key, order_id, declined);
    books.once(None, |ledger| ledger.confirm(charge), |_| {})
}

fn refund(books: &mut Books, payment_key: &str, won: u64, key: &str) -> Answer {
    let (at, reason) = (DateTime::UNIX_EPOCH, "changed plans".into());
    let wanted = GiveBack { payment_key: payment_key.into(), amount: Some(won), balance: None, reason, at };
    books.once(Some(key.into()), |ledger| ledger.cancel(wanted), |_| {})
}

/// Everything that the books know, for comparison.
fn all(books: &Books) -> Vec<String> {
    entries(&books.ledger, books.faults, &books.answers).map(|entry| serde_json::to_string(&entry).unwrap()).collect()
}

#[test]
fn the_first_answer_stays_unless_it_passes() {
    let mut books = Books::default();
    let mut ask = |name: Option<&str>, refusal| books.once(name.map(Arc::from), |_| Err(refusal), |_| {}).unwrap_err();
    assert_eq!(ask(Some("a"), Refusal::Fault), Refusal::Fault);
    assert_eq!(ask(Some("a"), Refusal::StillProcessing), Refusal::StillProcessing);
    assert_eq!(ask(Some("a"), Refusal::NoPayment), Refusal::NoPayment);
    assert_eq!(ask(Some("a"), Refusal::CardDeclined), Refusal::NoPayment);
    assert_eq!(ask(Some("b"), Refusal::CardDeclined), Refusal::CardDeclined);
    assert_eq!(ask(None, Refusal::CardDeclined), Refusal::CardDeclined);
}

#[test]
fn what_is_being_carried_out_is_not_begun_again() {
    let mut books = Books::default();
    let name: Arc<str> = "a".into();
    assert!(books.begin(&name));
    assert!(!books.begin(&name));
    let refused = |books: &mut Books| refund(books, "never-paid", 1, "a").unwrap_err();
    assert_eq!(refused(&mut books), Refusal::StillProcessing);
    books.end(&name);
    assert_eq!(refused(&mut books), Refusal::NoPayment);
    assert!(!books.begin(&name), "it has its answer");
}

#[test]
fn each_change_is_told_and_only_once() {
    let mut books = Books::default();
    let mut told = Vec::new();
    for (payment_key, order_id, key) in [
        ("decline", "order0", "a"),
        ("decline", "order0", "a"),
        ("k1", "order1", "b"),
        ("k1", "order1", "b"),
        ("k1", "order1", "c"),
    ] {
        let charge = charge(payment_key, order_id, false);
        let tell = |record: &Record| told.push((record.key.to_string(), record.status));
        let _ = books.once(Some(key.into()), |ledger| ledger.confirm(charge), tell);
    }
    assert_eq!(told, [("decline".to_owned(), Status::Aborted), ("k1".to_owned(), Status::Done)]);
}

#[test]
fn a_full_file_is_written_anew_with_the_same_books() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("books.jsonl");
    let mut books = Books::kept_in(&path).unwrap();
    books.daybook = books.daybook.map(|daybook| daybook.bounded(12));

    // The order's latest payment is k1, though k2 was begun after it.
    pay(&mut books, "k1", "order1", true).unwrap_err();
    pay(&mut books, "k2", "order1", true).unwrap_err();
    pay(&mut books, "k1", "order1", false).unwrap();
    pay(&mut books, "k3", "order3", false).unwrap();
    for n in 0..5 {
        refund(&mut books, "k3", 1, &format!("r{}", n % 4)).unwrap();
        refund(&mut books, "k3", 501, "too-much").unwrap_err();
    }
    assert_eq!(books.ledger.counts.money_movements, 6);
    books.reset().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 11, "not full yet");
    for _ in 0..30 {
        pay(&mut books, "k2", "order2", false).unwrap_err();
        books.reset().unwrap();
    }
    let left = all(&books);
    drop(books);

    let lines = fs::read_to_string(&path).unwrap().lines().count();
    assert!(lines <= 12, "{lines} lines");
    let books = Books::kept_in(&path).unwrap();
    assert_eq!(all(&books), left);
    assert_eq!(&*books.ledger.by_order("order1").unwrap().key, "k1");
    assert_eq!(books.ledger.by_order("order1").unwrap().status, Status::Done);
}

#[test]
fn what_cannot_be_written_does_not_happen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("books.jsonl");
    let mut books = Books::kept_in(&path).unwrap();
    pay(&mut books, "k1", "order1", false).unwrap();

    // Full, and no place to be written anew.
    let obstacle = directory.path().join("books.jsonl.new");
    fs::create_dir(&obstacle).unwrap();
    books.daybook = books.daybook.map(|daybook| daybook.bounded(1));
    assert_eq!(pay(&mut books, "k2", "order2", false).unwrap_err(), Refusal::Fault);
    assert_eq!(refund(&mut books, "k1", 1, "r").unwrap_err(), Refusal::Fault);
    assert_eq!(books.reset().unwrap_err(), Refusal::Fault);
    assert_eq!((books.ledger.counts.money_movements, all(&books).len()), (1, 3));

    fs::remove_dir(&obstacle).unwrap();
    books.daybook = books.daybook.map(|daybook| daybook.bounded(100));
    pay(&mut books, "k2", "order2", false).unwrap();
    refund(&mut books, "k1", 1, "r").unwrap();
    let left = all(&books);
    drop(books);
    assert_eq!(all(&Books::kept_in(&path).unwrap()), left);
}
