//! Everything goes wrong at once: a provider that fails, is slow, loses answers and repeats itself, a hundred customers who
//! cancel, walk away or come back, and SIGKILL in the middle. In the end the money is right, to the won.

mod customer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use aggregates::{BookingStatus, Money, PaymentId};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    Boxoffice, Fan, Log, PRICE, assert_books_agree, assert_mirrored, assert_verified, concert_of, eventually, scale,
};
use customer::{Met, Told, visit};

/// Customers at once.
const AT_ONCE: usize = 100;
/// As so many people; each customer has connections of their own.
const PEOPLE: usize = 10;
/// How often everything is killed.
const KILLS: usize = 3;
/// A hold is short here, so that those who walk away are seen to lose theirs.
const HOLD_SECONDS: u64 = 12;
/// How long the customers may take in all, for each hundred bookings and each kill.
const SHARE_MAX: Duration = Duration::from_mins(2);
/// How long it may take until the last hold has expired and the last refund is through: refunds that failed again and
/// again wait a minute for the next try.
const SETTLED_MAX: Duration = Duration::from_mins(3);

/// What goes wrong at the provider. After every other kill its effects come late, too, and its webhooks in any order.
fn trouble(kills: usize) -> Value {
    let is_worse = !kills.is_multiple_of(2);
    json!({
        "failRate": 0.2, "loseAnswerRate": 0.1, "duplicateWebhooks": 2, "latencyMs": [50, 900],
        "lateEffectRate": if is_worse { 0.3 } else { 0.0 }, "reorderWebhooks": is_worse,
    })
}

fn peace() -> Value {
    json!({
        "failRate": 0, "loseAnswerRate": 0, "duplicateWebhooks": 0, "latencyMs": [0, 0],
        "lateEffectRate": 0, "reorderWebhooks": false,
    })
}

/// The customers of a concert, and what they were told last about their bookings.
struct Customers {
    tasks: JoinSet<()>,
    told: Arc<Mutex<BTreeMap<String, Told>>>,
    met: Arc<Met>,
}

impl Customers {
    fn enter(fans: &[Fan], concert: &str, bookings: usize) -> Self {
        let (next, told) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<BTreeMap<_, _>>>::default());
        let met = Arc::<Met>::default();
        let mut tasks = JoinSet::new();
        for fan in fans.iter().cycle().take(AT_ONCE) {
            let (fan, concert) = (fan.reconnected(), concert.to_owned());
            let (next, told, met) = (Arc::clone(&next), Arc::clone(&told), Arc::clone(&met));
            tasks.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    if n >= bookings {
                        return;
                    }
                    let (booking, last) = visit(&fan, &met, &concert, n).await;
                    told.lock().unwrap().insert(booking, last);
                }
            });
        }
        Self { tasks, told, met }
    }

    /// Waits until so many have been through; fails as soon as one of them does.
    async fn are_through(&mut self, count: usize, patience: Duration) {
        let through =
            eventually("customers to be through", patience, async || self.told.lock().unwrap().len() >= count);
        tokio::pin!(through);
        loop {
            tokio::select! {
                () = &mut through => return,
                Some(ended) = self.tasks.join_next() => ended.unwrap(),
            }
        }
    }
}

#[tokio::test]
async fn in_the_end_the_money_is_right_whatever_the_provider_does_and_whenever_all_is_killed() {
    let bookings = scale("BOXOFFICE_MONEY_BOOKINGS", 150);
    let patience = SHARE_MAX * u32::try_from(bookings / 100 + KILLS).unwrap();
    let mut system = Boxoffice::start().await;
    // A few find it sold out; what others give back is sold again.
    let mut terms = concert_of(bookings as u64 * 3 / 2);
    terms["holdSeconds"] = HOLD_SECONDS.into();
    let concert = system.organizer().await.post("/concerts", &terms).await.ok(201).text_at("/id");
    let fans = system.fans(PEOPLE).await;
    system.provider().set_faults(trouble(0)).await;

    let mut customers = Customers::enter(&fans, &concert, bookings);
    for kill in 1..=KILLS {
        customers.are_through(bookings * kill / (KILLS + 1), patience).await;
        // The provider keeps its faults as it keeps its books, so none is paid in peace.
        system.provider().set_faults(trouble(kill)).await;
        system.kill();
        system.start_again().await;
    }
    customers.are_through(bookings, patience).await;
    let told = customers.told.lock().unwrap().clone();
    system.provider().set_faults(peace()).await;

    let postgres = system.postgres().await;
    eventually("every booking to have ended", SETTLED_MAX, async || {
        let folded = Log::read(&postgres).await.fold();
        let is_open = |status| status == Some(BookingStatus::BookingRequested);
        folded.unsettled().is_empty() && !folded.bookings.values().any(|booking| is_open(booking.status()))
    })
    .await;
    let (charged, refunded) = assert_books_agree(&system).await;
    let log = Log::read(&postgres).await;
    assert_paid_for_what_was_approved(&log, charged - refunded);
    assert_nothing_told_is_untrue(&log, &told);
    let [_, held, sold, _] = log.fold().tickets(&concert);
    assert_eq!((held, sold * PRICE), (0, charged - refunded), "tickets held, and sold");
    let fan = fans[0].reconnected();
    let shown = fan.get_at(&format!("/concerts/{concert}"), log.last()).await.ok(200);
    assert_eq!(shown.tickets(), log.fold().tickets(&concert));
    assert_mirrored(&system, &postgres).await;
    assert_verified(&system).await;
    report(&log, &customers.met, charged, refunded);
}

/// What the provider keeps is the price of the approved bookings.
fn assert_paid_for_what_was_approved(log: &Log, kept: u64) {
    let folded = log.fold();
    let approved =
        folded.bookings.iter().filter(|(_, booking)| booking.status() == Some(BookingStatus::BookingApproved));
    let amounts = approved.map(|(id, _)| folded.payments[&PaymentId::of(*id)].request().unwrap().amount);
    assert_eq!(amounts.map(|Money { amount, .. }| amount).sum::<u64>(), kept, "won for approved bookings");
}

/// Whoever was told that they had paid has their tickets, and whoever was told that they had cancelled has not.
fn assert_nothing_told_is_untrue(log: &Log, told: &BTreeMap<String, Told>) {
    use BookingStatus::{BookingApproved, BookingCanceled, BookingExpired, BookingRejected};
    let folded = log.fold();
    assert_eq!(told.len(), folded.bookings.len(), "each customer has made one booking");
    for (id, told) in told {
        let status = folded.bookings[&id.parse().unwrap()].status().unwrap();
        let fits = match told {
            Told::SoldOut => status == BookingRejected,
            Told::Paid => status == BookingApproved,
            Told::Canceled => status == BookingCanceled,
            Told::Declined => status == BookingExpired,
            // A hold that nobody waits for any more; or a try to pay that went through though its customer gave up.
            Told::Booked | Told::TooLate => status != BookingRejected,
        };
        assert!(fits, "a customer was told {told:?}, and the booking {id} is {status:?}: {:?}", log.names_of(id));
    }
}

/// What has happened, which must be a little of everything.
fn report(log: &Log, met: &Met, charged: u64, refunded: u64) {
    let mut ends = BTreeMap::<_, usize>::new();
    for booking in log.fold().bookings.values() {
        *ends.entry(format!("{:?}", booking.status().unwrap())).or_default() += 1;
    }
    let (later, silence) = (met.later.load(Relaxed), met.silence.load(Relaxed));
    eprintln!("{ends:?}; {} tries to pay; charged {charged} won, refunded {refunded}", log.count("PaymentAttempted"));
    eprintln!("customers were asked {later} times to come back later, and {silence} times nobody answered");
    for status in ["BookingApproved", "BookingCanceled", "BookingExpired"] {
        assert!(ends.contains_key(status), "no booking ended as {status}: {ends:?}");
    }
    assert!(refunded > 0 && later > 0 && silence >= KILLS, "nothing has gone wrong");
}
