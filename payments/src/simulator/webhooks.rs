//! `PAYMENT_STATUS_CHANGED`, sent until it is taken or given up.
//!
//! Source: `https://docs.tosspayments.com/guides/webhook`. The service tries again after 1, 4, 16, … minutes, seven times;
//! here the waits are shorter and fewer. Whatever else is in the queue waits meanwhile, so the order is kept.

use std::time::Duration;

use chrono::Utc;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time};

use super::record::Record;
use crate::http::{self, ClientError};

/// How many webhooks can wait; later ones are dropped.
pub const WEBHOOK_QUEUE_MAX: usize = 10_000;

/// How often one webhook is tried.
pub const WEBHOOK_TRIES_MAX: u32 = 4;

/// The wait before the second try, in milliseconds; four times as long before each further one.
const FIRST_WAIT_MS: u64 = 50;

/// How long one try may take, in milliseconds.
const TRY_MS_MAX: u64 = 2_000;

/// One change of a payment, and how often to tell of it.
pub(super) struct Notice {
    body: Value,
    times: u64,
}

impl Notice {
    pub fn of(record: &Record, duplicates: u64) -> Self {
        let body = json!({
            "eventType": "PAYMENT_STATUS_CHANGED",
            "createdAt": Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
            "data": record.to_json(),
        });
        Self { body, times: duplicates + 1 }
    }
}

/// Sends what comes in by the queue that [`sender`] gave out with it.
pub(super) struct Sender {
    url: Url,
    client: Client,
    queue: mpsc::Receiver<Notice>,
}

pub(super) fn sender(url: Url) -> Result<(mpsc::Sender<Notice>, Sender), ClientError> {
    let client = http::client(&url, Duration::from_millis(TRY_MS_MAX))?;
    let (queue_in, queue) = mpsc::channel(WEBHOOK_QUEUE_MAX);
    Ok((queue_in, Sender { url, client, queue }))
}

impl Sender {
    /// Until the last simulator that fills the queue is gone.
    pub async fn run(mut self) {
        while let Some(notice) = self.queue.recv().await {
            for _ in 0..notice.times {
                self.send(&notice.body).await;
            }
        }
    }

    async fn send(&self, body: &Value) {
        let mut wait = Duration::from_millis(FIRST_WAIT_MS);
        for last in (0..WEBHOOK_TRIES_MAX).map(|tried| tried + 1 == WEBHOOK_TRIES_MAX) {
            let answer = self.client.post(self.url.clone()).json(body).send().await;
            if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return;
            }
            if !last {
                time::sleep(wait).await;
                wait *= 4;
            }
        }
        tracing::warn!(order = %body["data"]["orderId"], "webhook given up");
    }
}
