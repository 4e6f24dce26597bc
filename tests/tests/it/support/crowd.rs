//! Fans who book, pay and cancel all the time, and remember what they were told.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use futures::{StreamExt, stream};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{Answer, Fan, Log, SOON};

/// More than any test waits for.
const TOLD_MAX: usize = 100_000;
/// Bookings looked at again at once.
const AT_ONCE: usize = 8;

/// What a fan was told had happened.
#[derive(Clone, Debug)]
pub enum Told {
    /// 201: tickets are held.
    Held { booking: String },
    /// 200: the money is taken.
    Paid { booking: String, payment: String },
    /// 200: called off.
    Canceled { booking: String },
}

/// Whom, and what.
pub type Promise = (Fan, Told);

/// Fans at a concert's box office.
pub struct Crowd {
    promises: mpsc::Receiver<Promise>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Every fan books, pays and cancels, again and again.
    pub fn enters(fans: &[Fan], concert: &str) -> Self {
        let (tell, promises) = mpsc::channel(TOLD_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for fan in fans {
            let (fan, concert, tell, stop) = (fan.reconnected(), concert.to_owned(), tell.clone(), Arc::clone(&stop));
            tasks.spawn(async move {
                let mut round = 0_usize;
                while !stop.load(Relaxed) {
                    visit(&fan, &concert, round, &tell).await;
                    round += 1;
                    tokio::task::yield_now().await;
                }
            });
        }
        Self { promises, stop, tasks }
    }

    /// Waits until the fans were told so many more things.
    pub async fn is_told(&mut self, count: usize) -> Vec<Promise> {
        let mut told = Vec::new();
        for _ in 0..count {
            let next = timeout(SOON, self.promises.recv()).await;
            told.push(next.expect("waited for the fans to be told something, in vain").unwrap());
        }
        told
    }

    /// Sends everybody home; what else they were told until then.
    pub async fn leaves(mut self) -> Vec<Promise> {
        self.stop.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.promises.close();
        let mut told = Vec::new();
        while let Some(next) = self.promises.recv().await {
            told.push(next);
        }
        told
    }
}

/// One booking, in two of three visits paid, in every fourth cancelled; `None` where a step was not through.
async fn visit(fan: &Fan, concert: &str, round: usize, tell: &mpsc::Sender<Promise>) -> Option<()> {
    let tell = async |told| tell.send((fan.clone(), told)).await.unwrap();
    let body = json!({"concertId": concert, "qty": 1});
    let booked = told(fan, fan.request(Method::POST, "/bookings").json(&body), &[201, 202]).await?;
    if booked.status == 202 {
        return None;
    }
    let (booking, payment) = (booked.text_at("/bookingId"), booked.text_at("/paymentId"));
    tell(Told::Held { booking: booking.clone() }).await;
    if !round.is_multiple_of(3) {
        let path = format!("/payments/{payment}/approve");
        told(fan, fan.request(Method::POST, &path).json(&json!({})), &[200]).await?;
        tell(Told::Paid { booking: booking.clone(), payment }).await;
    }
    if round.is_multiple_of(4) {
        told(fan, fan.request(Method::DELETE, &format!("/bookings/{booking}")), &[200]).await?;
        tell(Told::Canceled { booking }).await;
    }
    Some(())
}

/// The answer, if there was one and it was a success; other answers must ask to try again later.
async fn told(fan: &Fan, request: RequestBuilder, successes: &[u16]) -> Option<Answer> {
    let answer = fan.try_send(request).await.ok()?;
    if successes.contains(&answer.status) {
        return Some(answer);
    }
    assert_eq!(answer.status, 503, "{} is neither done nor to be tried later: {}", answer.request, answer.text);
    answer.retry_after();
    None
}

/// All that the fans were told is in the log.
pub fn assert_in_log(log: &Log, promises: &[Promise]) {
    for (_, told) in promises {
        let (id, event) = match told {
            Told::Held { booking } => (booking, "BookingRequested"),
            Told::Paid { payment, .. } => (payment, "PaymentApproved"),
            Told::Canceled { booking } => (booking, "BookingCanceled"),
        };
        let names = log.names_of(id);
        assert!(names.contains(&event), "a fan was told {told:?}, but the log has {names:?}");
    }
}

/// All that the fans were told is still said when they ask.
pub async fn assert_still_said(promises: &[Promise]) {
    let asked = stream::iter(promises).for_each_concurrent(AT_ONCE, async |(fan, told)| {
        let (Told::Held { booking } | Told::Paid { booking, .. } | Told::Canceled { booking }) = told;
        let shown = fan.get(&format!("/bookings/{booking}")).await.ok(200);
        let (status, payment) = (shown.text_at("/status"), shown.text_at("/paymentStatus"));
        let is_canceled = status == "BookingCanceled" && payment == "PaymentCanceled";
        let is_paid = status == "BookingApproved" && payment == "PaymentApproved";
        let is_open = status == "BookingRequested" && payment == "PaymentRequested";
        let fits = match told {
            // Its payment or cancellation may have gone through without the fan hearing of it.
            Told::Held { .. } => is_open || is_paid || is_canceled,
            Told::Paid { .. } => is_paid || is_canceled,
            Told::Canceled { .. } => is_canceled,
        };
        assert!(fits, "the fan was told {told:?}, and now {}", shown.text);
    });
    asked.await;
}
