//! Books in a file outlive the process that wrote them.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use payments::{
    Confirm, Provider, ProviderError,
    simulator::{Counts, Faults, Simulator},
};
use reqwest::Method;
use serde_json::json;
use stack::testing::eventually;
use tempfile::TempDir;
use uuid::Uuid;

use crate::desk::{Desk, cancel, confirm, new_payment};

/// A directory and a file in it that is not there yet.
fn nowhere() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("books.jsonl");
    (directory, path)
}

async fn desk(path: &Path) -> Desk {
    Desk::open_with(Simulator::kept_in(path).unwrap()).await
}

/// The books as a process that is killed now would leave them: what the kernel has of them.
fn left(path: &Path) -> PathBuf {
    let left = path.with_file_name(Uuid::new_v4().to_string());
    fs::copy(path, &left).unwrap();
    left
}

#[tokio::test]
async fn a_kill_forgets_nothing_that_was_answered() {
    let (_directory, path) = nowhere();
    let before = desk(&path).await;
    let (paid, refunded) = (confirm(new_payment()), confirm(new_payment()));
    let declined = Confirm { payment_key: "decline".into(), ..confirm(new_payment()) };
    let payment = before.toss.confirm(paid.clone()).await.unwrap();
    before.toss.confirm(refunded.clone()).await.unwrap();
    let refund = before.toss.cancel(cancel(&refunded)).await.unwrap();
    before.toss.confirm(declined.clone()).await.unwrap_err();
    before.fault(json!({"duplicateWebhooks": 3})).await;

    let after = desk(&left(&path)).await;
    assert_eq!(after.counts(), Counts { calls: 0, ..before.counts() });
    assert_eq!(after.simulator.faults(), Faults { duplicate_webhooks: 3, ..Faults::default() });
    assert_eq!(after.toss.lookup_order(paid.order_id).await.unwrap(), Some(payment.clone()));
    assert_eq!(after.toss.lookup_key(&refunded.payment_key).await.unwrap(), Some(refund.clone()));
    // Repeated under their keys.
    assert_eq!(after.toss.confirm(paid.clone()).await.unwrap(), payment);
    assert_eq!(after.toss.cancel(cancel(&refunded)).await.unwrap(), refund);
    let again = Confirm { payment_key: "a good card".into(), ..declined };
    let error = after.toss.confirm(again).await.unwrap_err();
    assert!(matches!(error, ProviderError::Declined { .. }), "{error:?}");
    assert_eq!(after.counts().money_movements, 3);
    // And what was paid before can be given back after.
    after.toss.cancel(cancel(&paid)).await.unwrap();
    assert_eq!((after.counts().cancellations, after.counts().refunded), (2, 220_000));
}

#[tokio::test]
async fn an_answer_lost_on_its_way_was_written_before() {
    let (_directory, path) = nowhere();
    let before = desk(&path).await;
    before.fault(json!({"loseAnswerRate": 1})).await;
    let paid = confirm(new_payment());
    before.toss.confirm(paid.clone()).await.unwrap_err();
    let after = desk(&left(&path)).await;
    after.fault(json!({"loseAnswerRate": 0})).await;
    assert_eq!(after.toss.lookup_order(paid.order_id).await.unwrap().unwrap().amount, paid.amount);
    after.toss.confirm(paid).await.unwrap();
    assert_eq!(after.counts().approvals, 1);
}

#[tokio::test]
async fn counts_and_faults_reset_stay_reset_and_the_books_stay() {
    let (_directory, path) = nowhere();
    let before = desk(&path).await;
    let paid = confirm(new_payment());
    before.toss.confirm(paid.clone()).await.unwrap();
    before.fault(json!({"down": true})).await;
    before.sim(Method::DELETE, "").await;
    let after = desk(&left(&path)).await;
    assert_eq!((after.counts(), after.simulator.faults()), (Counts::default(), Faults::default()));
    after.toss.cancel(cancel(&paid)).await.unwrap();
    assert_eq!(after.counts().money_movements, 1);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off() {
    let (_directory, path) = nowhere();
    let before = desk(&path).await;
    let (kept, torn) = (confirm(new_payment()), confirm(new_payment()));
    before.toss.confirm(kept.clone()).await.unwrap();
    let whole = fs::metadata(&path).unwrap().len();
    before.toss.confirm(torn.clone()).await.unwrap();
    let end = fs::metadata(&path).unwrap().len();
    // From the last byte missing to only the first one there.
    for length in [end - 1, whole + 1] {
        let left_torn = left(&path);
        OpenOptions::new().write(true).open(&left_torn).unwrap().set_len(length).unwrap();
        let after = desk(&left_torn).await;
        assert_eq!(after.counts().approvals, 1);
        assert_eq!(after.toss.lookup_order(torn.order_id).await.unwrap(), None);
        after.toss.confirm(torn.clone()).await.unwrap();
        let later = desk(&left(&left_torn)).await;
        assert!(later.toss.lookup_order(kept.order_id).await.unwrap().is_some());
        assert!(later.toss.lookup_order(torn.order_id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_is_no_entry_is_an_error_that_names_the_line() {
    let (_directory, path) = nowhere();
    let before = desk(&path).await;
    for _ in 0..2 {
        before.toss.confirm(confirm(new_payment())).await.unwrap();
    }
    let lines = fs::read_to_string(&path).unwrap();
    let (first, second) = lines.split_once('\n').unwrap();
    let stranger = r#"{"call":{"under":null,"change":{"refund":{"key":"never seen","refund":{"amount":1,"reason":"",
        "at":"1970-01-01T00:00:00Z","transaction":"00000000-0000-0000-0000-000000000000"}}}}}"#
        .replace('\n', "");
    let long = format!("{}{}", " ".repeat(2 * 1024 * 1024), first);
    for garbage in [
        "",
        "garbage",
        "{}",
        r#"{"counts":{}}"#,
        r#"{"faults":{"failRate":2}}"#,
        &first[..50],
        "\0\0\0",
        &stranger,
        &long,
    ] {
        let spoilt = path.with_extension("spoilt");
        fs::write(&spoilt, format!("{first}\n{garbage}\n{second}")).unwrap();
        let error = Simulator::kept_in(&spoilt).err().expect(garbage);
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{garbage}: {error}");
        assert!(error.to_string().contains("books.spoilt: line 2: "), "{garbage}: {error}");
    }
    File::options().append(true).open(&path).unwrap().write_all(b"garbage\n").unwrap();
    let error = Simulator::kept_in(&left(&path)).err().unwrap();
    assert!(error.to_string().contains("line 3: "), "whole, and so not torn: {error}");
}

#[tokio::test]
async fn books_in_use_cannot_be_opened_again() {
    let (_directory, path) = nowhere();
    let first = desk(&path).await;
    let error = Simulator::kept_in(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy, "{error}");
    assert!(error.to_string().contains("books.jsonl: in use"), "{error}");
    let paid = confirm(new_payment());
    first.toss.confirm(paid.clone()).await.unwrap();
    first.close().await;
    eventually("the books to be free", Duration::from_secs(10), async || Simulator::kept_in(&path).is_ok()).await;
    let second = desk(&path).await;
    assert!(second.toss.lookup_order(paid.order_id).await.unwrap().is_some());
}

#[test]
fn a_place_without_room_for_a_file_is_named() {
    let (directory, _) = nowhere();
    let path = directory.path().join("missing").join("books.jsonl");
    let error = Simulator::kept_in(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("missing/books.jsonl"), "{error}");
}
