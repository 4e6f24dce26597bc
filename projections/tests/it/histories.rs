//! Booking histories are what became of each booking.

use aggregates::{
    AttemptId, Booking, BookingCommand, Money, PaymentCommand, PaymentId, User, UserCommand, payment::Outcome,
};
use journal::Position;
use projections::{HistoryStatus, MyPage};
use serde_json::json;

use crate::{
    sources::{Repeating, Small},
    world::{DEADLINE, NOW, Running, World, booking, catch_up, concert, runner, user},
};

/// A world with a MyPage that follows it.
struct Followed {
    world: World,
    mypage: MyPage,
    running: Running,
    _dir: tempfile::TempDir,
}

impl Followed {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed).await;
        let dir = tempfile::tempdir().unwrap();
        let (mypage, writer) = MyPage::open(dir.path().join("mypage.db")).await.unwrap();
        let source = Box::new(world.journal.follow(Position(0)));
        let running = Running::start(runner(writer, source, world.journal.pool().clone()));
        Self { world, mypage, running, _dir: dir }
    }

    /// The status of a booking at the end of the log as it is now.
    async fn status(&self, n: u128) -> HistoryStatus {
        assert!(self.mypage.wait_for(self.world.journal.position(), DEADLINE).await);
        let all = self.mypage.histories(None, 100, None).await.unwrap();
        all.iter().find(|history| history.booking_id == booking(n)).expect("the booking").status
    }

    async fn attempt(&self, n: u128, attempt: &str) {
        let attempt_id = AttemptId::derived(PaymentId::of(booking(n)), attempt);
        let payment_key = attempt.to_owned();
        self.world.payment(n, PaymentCommand::Attempt { attempt_id, payment_key, now: NOW }).await;
    }

    async fn settle(&self, n: u128, attempt: &str, outcome: Outcome) {
        let attempt_id = AttemptId::derived(PaymentId::of(booking(n)), attempt);
        self.world.payment(n, PaymentCommand::Settle { attempt_id, outcome }).await;
    }
}

#[tokio::test]
async fn the_status_is_the_latest_of_booking_and_payment() {
    let mut followed = Followed::new(73).await;
    followed.world.register(0, 4).await;
    let requested = followed.world.request(1, 0, 1, 2).await;
    assert_eq!(followed.status(1).await, HistoryStatus::BookingRequested);
    let before = followed.mypage.histories(None, 1, None).await.unwrap().remove(0);
    assert_eq!((before.amount, before.payment_id), (None, None));
    followed.world.saga().await;
    assert_eq!(followed.status(1).await, HistoryStatus::PaymentRequested);

    followed.attempt(1, "a").await;
    let declined = Outcome::Declined { code: "NO".to_owned(), message: String::new() };
    followed.settle(1, "a", declined).await;
    followed.attempt(1, "b").await;
    assert_eq!(followed.status(1).await, HistoryStatus::PaymentRequested, "tries are not a status");
    followed.settle(1, "b", Outcome::Approved { approved_at: NOW, payment_key: "k".to_owned() }).await;
    assert_eq!(followed.status(1).await, HistoryStatus::PaymentApproved);
    followed.world.saga().await;
    assert_eq!(followed.status(1).await, HistoryStatus::BookingApproved, "the sale of tickets is not a status");

    followed.world.cancel(1).await;
    assert_eq!(followed.status(1).await, HistoryStatus::BookingCanceled);
    followed.world.saga().await;
    assert_eq!(followed.status(1).await, HistoryStatus::BookingCanceled, "the refund is only asked for");
    let refunded = followed.world.payment(1, PaymentCommand::Refunded).await;
    assert_eq!(followed.status(1).await, HistoryStatus::PaymentCanceled);
    followed.world.saga().await;
    assert_eq!(followed.status(1).await, HistoryStatus::PaymentCanceled);

    let history = followed.mypage.histories(Some(user(1)), 10, None).await.unwrap().remove(0);
    let log = followed.world.log().await;
    let at = |position: Position| {
        log.iter()
            .find(|(recorded, _)| recorded.position == position)
            .map(|(recorded, _)| recorded.recorded_at)
            .unwrap()
    };
    let expected = json!({
        "id": requested, "bookingId": booking(1), "concertId": concert(0), "userId": user(1),
        "status": "PaymentCanceled", "qty": 2, "amount": Money::krw(220_000), "paymentId": PaymentId::of(booking(1)),
        "requestedAt": at(requested), "updatedAt": at(refunded),
    });
    assert_eq!(serde_json::to_value(&history).unwrap(), expected);
    followed.running.stop().await;
}

#[tokio::test]
async fn bookings_that_come_to_nothing_say_so() {
    let mut followed = Followed::new(79).await;
    followed.world.register(0, 3).await;
    followed.world.request(1, 0, 1, 3).await;
    followed.world.request(2, 0, 1, 1).await;
    followed.world.saga().await;
    assert_eq!(followed.status(2).await, HistoryStatus::BookingRejected);
    followed.world.one::<Booking>(booking(1).0, BookingCommand::Expire).await;
    assert_eq!(followed.status(1).await, HistoryStatus::BookingExpired);
    followed.world.saga().await;
    assert_eq!(followed.status(1).await, HistoryStatus::PaymentCanceled);
    followed.running.stop().await;
}

#[tokio::test]
async fn histories_are_newest_first_and_paged_for_one_and_for_all() {
    let followed = Followed::new(83).await;
    for n in 0..30 {
        followed.world.request(n, 0, n % 3, 1).await;
    }
    assert!(followed.mypage.wait_for(followed.world.journal.position(), DEADLINE).await);
    for (of, expected) in [
        (None, (0..30).rev().map(booking).collect::<Vec<_>>()),
        (Some(user(1)), (0..30).rev().filter(|n| n % 3 == 1).map(booking).collect()),
        (Some(user(7)), Vec::new()),
    ] {
        for page in [1, 4, 100, usize::MAX] {
            let (mut read, mut before) = (Vec::new(), None);
            loop {
                let histories = followed.mypage.histories(of, page, before).await.unwrap();
                assert!(histories.len() <= page);
                let Some(last) = histories.last() else { break };
                before = Some(last.id);
                read.extend(histories.iter().map(|history| history.booking_id));
            }
            assert_eq!(read, expected);
        }
    }
    followed.running.stop().await;
}

#[tokio::test]
async fn an_erased_user_has_no_history() {
    let mut followed = Followed::new(89).await;
    let world = &mut followed.world;
    world.register(0, 10).await;
    for n in 1..=2 {
        world.register_user(n).await;
        world.request(n, 0, n, 1).await;
        world.saga().await;
    }
    assert!(followed.mypage.wait_for(world.journal.position(), DEADLINE).await);
    assert_eq!(followed.mypage.histories(Some(user(1)), 10, None).await.unwrap().len(), 1);
    world.one::<User>(user(1).0, UserCommand::Erase).await;
    // What still happens to the booking does not bring it back.
    world.cancel(1).await;
    world.saga().await;
    assert!(followed.mypage.wait_for(world.journal.position(), DEADLINE).await);
    assert_eq!(followed.mypage.histories(Some(user(1)), 10, None).await.unwrap(), []);
    assert_eq!(followed.mypage.histories(None, 10, None).await.unwrap().len(), 1);
    followed.running.stop().await;

    // The same where all of it comes in one batch.
    let dir = tempfile::tempdir().unwrap();
    let (mypage, writer) = MyPage::open(dir.path().join("again.db")).await.unwrap();
    catch_up(&followed.world.journal, writer).await;
    assert_eq!(
        mypage.histories(None, 10, None).await.unwrap(),
        followed.mypage.histories(None, 10, None).await.unwrap()
    );
}

#[tokio::test]
async fn however_the_log_is_delivered_and_by_how_many_the_histories_are_the_same() {
    let mut world = World::new(97).await;
    world.history(5).await;
    let dir = tempfile::tempdir().unwrap();
    let at_once = MyPage::open(dir.path().join("at-once.db")).await.unwrap();
    catch_up(&world.journal, at_once.1).await;
    let mut expected = Vec::new();
    while let page = at_once.0.histories(None, 200, expected.last().map(|last: &projections::BookingHistory| last.id))
        && let page = page.await.unwrap()
        && !page.is_empty()
    {
        expected.extend(page);
    }

    let path = dir.path().join("two.db");
    let log = || world.journal.pool().clone();
    let follow = || world.journal.follow(Position(0));
    let (mypage, one) = MyPage::open(&path).await.unwrap();
    let (same, other) = MyPage::open(&path).await.unwrap();
    let repeating = Repeating { source: follow(), back: 9, again: false };
    let one = Running::start(runner(one, Box::new(repeating), log()));
    let other = Running::start(runner(other, Box::new(Small(follow(), 5)), log()));
    let end = world.journal.position();
    let first = async { mypage.wait_for(end, DEADLINE).await };
    let second = async { same.wait_for(end, DEADLINE).await };
    assert!(tokio::select! { reached = first => reached, reached = second => reached });
    one.stop().await;
    other.stop().await;

    let mut read = Vec::new();
    loop {
        let page = mypage.histories(None, 7, read.last().map(|last: &projections::BookingHistory| last.id)).await;
        let page = page.unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, expected);
}
