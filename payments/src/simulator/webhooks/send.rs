//! Webhooks on their way, until they are taken or given up. Those of one payment are first tried in order, unless they
//! are to be reordered; tried again is each by itself, so that one that is refused keeps back no other.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::{Client, StatusCode, Url, header};
use tokio::{
    sync::{Semaphore, mpsc},
    time,
};

use super::{
    ID_HEADER, Notice, REORDER_MS_MAX, RETRIED_HEADER, TIME_HEADER, TRIES_AT_ONCE_MAX, TRY_MS_MAX, WEBHOOK_QUEUE_MAX,
    wait_after,
};
use crate::{
    http::{self, ClientError},
    simulator::korea,
};

/// Sends what comes in by the queue that [`sender`] gave out with it.
pub(in crate::simulator) struct Sender {
    queue: mpsc::Receiver<Notice>,
    line: Line,
}

/// The way to the receiver.
struct Line {
    url: Url,
    client: Client,
    tries: Semaphore,
}

/// One webhook, or one repetition of it, and how often it was tried.
struct Delivery {
    notice: Notice,
    tries: u32,
}

/// For each payment that has a webhook being tried for the first time: those that come after it.
#[derive(Default)]
struct Behind {
    payments: HashMap<Arc<str>, VecDeque<Delivery>>,
    count: usize,
}

pub(in crate::simulator) fn sender(url: Url) -> Result<(mpsc::Sender<Notice>, Sender), ClientError> {
    let client = http::client(&url, Duration::from_millis(TRY_MS_MAX))?;
    let (queue_in, queue) = mpsc::channel(WEBHOOK_QUEUE_MAX);
    Ok((queue_in, Sender { queue, line: Line { url, client, tries: Semaphore::new(TRIES_AT_ONCE_MAX) } }))
}

impl Sender {
    /// Until the last simulator that fills the queue is gone, and all is sent or given up.
    pub async fn run(self) {
        let Self { mut queue, line } = self;
        let (mut under_way, mut behind) = (FuturesUnordered::new(), Behind::default());
        let mut is_open = true;
        while is_open || !under_way.is_empty() {
            tokio::select! {
                notice = queue.recv(), if is_open && under_way.len() + behind.count < WEBHOOK_QUEUE_MAX => {
                    is_open = notice.is_some();
                    for delivery in notice.iter().flat_map(Notice::deliveries) {
                        if let Some((delivery, wait)) = behind.begin(delivery) {
                            under_way.push(line.send(delivery, wait));
                        }
                    }
                }
                Some((delivery, is_taken)) = under_way.next() => {
                    if let Some(next) = behind.tried(&delivery) {
                        under_way.push(line.send(next, Duration::ZERO));
                    }
                    match wait_after(delivery.tries) {
                        _ if is_taken => {}
                        Some(wait) => under_way.push(line.send(delivery, wait)),
                        None => tracing::warn!(order = &*delivery.notice.order, "webhook given up"),
                    }
                }
            }
        }
    }
}

impl Notice {
    /// Itself and its repetitions.
    fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        (0..self.times).map(|_| Delivery { notice: self.clone(), tries: 0 })
    }
}

impl Behind {
    /// When to try it for the first time, unless it has to wait for one before it.
    fn begin(&mut self, delivery: Delivery) -> Option<(Delivery, Duration)> {
        if delivery.notice.reordered {
            let held_back = rand::random_range(0..=REORDER_MS_MAX);
            return Some((delivery, Duration::from_millis(held_back)));
        }
        if let Some(behind) = self.payments.get_mut(&delivery.notice.payment_key) {
            behind.push_back(delivery);
            self.count += 1;
            return None;
        }
        self.payments.insert(delivery.notice.payment_key.clone(), VecDeque::new());
        Some((delivery, Duration::ZERO))
    }

    /// Which is the next to try, when this one was.
    fn tried(&mut self, delivery: &Delivery) -> Option<Delivery> {
        if delivery.notice.reordered || delivery.tries > 1 {
            return None;
        }
        let key = &delivery.notice.payment_key;
        let next = self.payments.get_mut(key).and_then(VecDeque::pop_front);
        match &next {
            Some(_) => self.count -= 1,
            None => drop(self.payments.remove(key)),
        }
        next
    }
}

impl Line {
    /// Tries once, after a while; says whether it was taken.
    async fn send(&self, delivery: Delivery, wait: Duration) -> (Delivery, bool) {
        if !wait.is_zero() {
            time::sleep(wait).await;
        }
        // Never closed, so there is always a permit in the end.
        let _place = self.tries.acquire().await;
        let Notice { id, body, .. } = &delivery.notice;
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(TIME_HEADER, korea::time(Utc::now()))
            .header(RETRIED_HEADER, delivery.tries)
            .header(ID_HEADER, id.to_string())
            .body(body.clone());
        let is_taken = request.send().await.is_ok_and(|answer| answer.status() == StatusCode::OK);
        (Delivery { tries: delivery.tries + 1, ..delivery }, is_taken)
    }
}
