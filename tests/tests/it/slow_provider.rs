//! The original's load test, as ours: a payment provider as slow as its circuit breaker allows, and a hundred clients who
//! book and pay. Each begins a booking at a fixed pace, whatever the provider does, so that what booking costs can be
//! compared with what it costs beside a fast provider.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::interval_at};

use crate::support::{Answer, Boxoffice, Fan, assert_books_agree, scale};

/// Clients at once.
const CLIENTS: usize = 100;
/// As so many people; each client has connections of its own.
const PEOPLE: usize = 10;
/// Bookings that one client has not paid yet; with more it waits.
const OPEN_MAX: usize = 8;
/// More tickets than are booked.
const TICKETS: u64 = 1_000_000;
/// Payments that were put off and are made at once in the end.
const PUT_OFF_AT_ONCE: usize = 32;
/// Set by `./dev prove`: times are asserted too.
const TIMED: &str = "BOXOFFICE_TIMED";
/// Beside a slow provider at least this part of the bookings a second beside a fast one.
const RATE_RATIO_MIN: f64 = 0.9;
/// Beside a slow provider bookings take at most so many times as long as beside a fast one, in the middle and at worst (99 of
/// 100).
const SLOWER_MAX: (f64, f64) = (1.5, 2.0);

/// How a provider answers.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Slow,
    Fast,
}

/// What all clients have met with beside one kind of provider.
#[derive(Default)]
struct Met {
    /// From the first booking to the last one's answer.
    lasted: Duration,
    last: Option<Instant>,
    /// How long each `POST /bookings` took.
    bookings: Vec<Duration>,
    paid: usize,
    /// Payments that were put off, and whose they are.
    put_off: Vec<(Fan, String)>,
    /// What should not have happened.
    wrong: Vec<String>,
}

impl Pace {
    fn faults(self) -> Value {
        match self {
            // The original's: its breaker takes anything above 610 ms for a failure.
            Self::Slow => json!({"latencyMs": [400, 620]}),
            Self::Fast => json!({"latencyMs": [0, 0]}),
        }
    }
}

impl Met {
    /// The share `percent` of the bookings took no longer, in milliseconds.
    fn milliseconds(&self, percent: usize) -> f64 {
        let mut sorted = self.bookings.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted[index].as_secs_f64() * 1_000.0
    }

    fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.bookings.len()).unwrap()) / self.lasted.as_secs_f64()
    }

    fn say(&self, pace: Pace) {
        let (rate, half, most) = (self.rate(), self.milliseconds(50), self.milliseconds(99));
        let (bookings, paid, put_off) = (self.bookings.len(), self.paid, self.put_off.len());
        eprintln!(
            "{pace:?} provider: {bookings} bookings, {rate:.1}/s, p50 {half:.1} ms, p99 {most:.1} ms; \
             {paid} paid, {put_off} put off"
        );
    }
}

/// One booking, from the request to its payment or to its being put off.
async fn book_and_pay(fan: Fan, concert: Arc<str>, met: Arc<Mutex<Met>>) {
    let start = Instant::now();
    let request = fan.request(Method::POST, "/bookings").json(&json!({"concertId": *concert, "qty": 1}));
    let booked = fan.try_send(request).await;
    let took = start.elapsed();
    let payment = {
        let mut met = met.lock().unwrap();
        met.bookings.push(took);
        met.last = Some(start + took);
        match booked {
            Ok(booked) if booked.status == 201 => booked.text_at("/paymentId"),
            Ok(booked) => return met.wrong.push(format!("POST /bookings: {} {}", booked.status, booked.text)),
            Err(error) => return met.wrong.push(format!("POST /bookings: {error:?}")),
        }
    };
    let request = fan.request(Method::POST, &format!("/payments/{payment}/approve"));
    let paid = fan.try_send(request.header("Accept-Language", "ko-KR").json(&json!({}))).await;
    let mut met = met.lock().unwrap();
    match paid {
        Ok(paid) if paid.status == 200 => met.paid += 1,
        Ok(paid) => match is_impolite(&paid) {
            None => met.put_off.push((fan, payment)),
            Some(why) => met.wrong.push(why),
        },
        Err(error) => met.wrong.push(format!("paying: {error:?}")),
    }
}

/// What is wrong with a payment being put off, if anything.
fn is_impolite(answer: &Answer) -> Option<String> {
    if let Some(wrong) = answer.is_not_problem(503, "payment-busy") {
        return Some(wrong);
    }
    answer.retry_after();
    let detail = answer.text_at("/detail");
    let is_korean = detail.chars().any(|letter| ('가'..='힣').contains(&letter));
    (!is_korean).then(|| format!("asked for Korean, told {detail:?}"))
}

/// So many clients for so long, at this pace.
async fn load(fans: &[Fan], concert: &str, each: Duration, lasts: Duration, met: &Arc<Mutex<Met>>) {
    let (start, concert) = (Instant::now(), Arc::<str>::from(concert));
    let mut clients = JoinSet::new();
    for (n, fan) in (0_u32..).zip(fans) {
        let (fan, concert, met) = (fan.clone(), Arc::clone(&concert), Arc::clone(met));
        // Evenly spread over the pace.
        let first = each * n / u32::try_from(fans.len()).unwrap();
        clients.spawn(async move {
            let mut ticks = interval_at((start + first).into(), each);
            let mut open = JoinSet::new();
            while start.elapsed() < lasts {
                ticks.tick().await;
                if open.len() >= OPEN_MAX {
                    open.join_next().await.unwrap().unwrap();
                }
                open.spawn(book_and_pay(fan.clone(), Arc::clone(&concert), Arc::clone(&met)));
            }
            open.join_all().await;
        });
    }
    clients.join_all().await;
    let mut met = met.lock().unwrap();
    let lasted = met.last.expect("a booking") - start;
    met.lasted += lasted;
}

#[tokio::test]
async fn a_slow_provider_puts_payments_off_and_never_bookings() {
    let (rounds, seconds) = (scale("BOXOFFICE_SLOW_ROUNDS", 1), scale("BOXOFFICE_SLOW_SECONDS", 7));
    let each = Duration::from_millis(scale("BOXOFFICE_SLOW_EACH_MS", 2_000));
    let system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(TICKETS).await;
    let people = system.fans(PEOPLE).await;
    let fans: Vec<Fan> = people.iter().cycle().take(CLIENTS).map(Fan::reconnected).collect();
    let met = [Pace::Slow, Pace::Fast].map(|pace| (pace, Arc::<Mutex<Met>>::default()));
    for _ in 0..rounds {
        for (pace, met) in &met {
            system.provider().set_faults(pace.faults()).await;
            load(&fans, &concert, each, Duration::from_secs(seconds), met).await;
        }
    }
    let [slow, fast] = met.map(|(pace, met)| {
        let met = std::mem::take(&mut *met.lock().unwrap());
        met.say(pace);
        met
    });
    let rate = slow.rate() / fast.rate();
    let [half, most] = [50, 99].map(|percent| slow.milliseconds(percent) / fast.milliseconds(percent));
    eprintln!("slow beside fast: {rate:.2} of the bookings/s, {half:.2} of p50, {most:.2} of p99");
    assert!(slow.paid > 0 && slow.wrong.is_empty() && fast.wrong.is_empty(), "{:#?}", [slow.wrong, fast.wrong]);

    if scale(TIMED, 0) > 0 {
        assert!(rate >= RATE_RATIO_MIN, "only {rate:.2} of the bookings a second");
        assert!(half <= SLOWER_MAX.0 && most <= SLOWER_MAX.1, "bookings took {half:.2} and {most:.2} times as long");
    }

    // What was put off is paid a little later, on the same tickets, or is over; and in the end nothing is stuck or paid
    // twice.
    let ends = stream::iter(slow.put_off.into_iter().chain(fast.put_off)).map(async |(fan, payment)| {
        let key = uuid::Uuid::new_v4().to_string();
        let answer = fan.post_patiently(&format!("/payments/{payment}/approve"), &key, &json!({})).await;
        let is_over = answer.is_not_problem(409, "payment-not-payable").is_none();
        assert!(answer.status == 200 || is_over, "{answer:?}");
    });
    ends.buffer_unordered(PUT_OFF_AT_ONCE).collect::<Vec<()>>().await;
    assert_books_agree(&system).await;
}
