//! `PAYMENT_STATUS_CHANGED`: what is told of a change, and on which headers.
//!
//! Sources: `https://docs.tosspayments.com/guides/v2/webhook` and
//! `https://docs.tosspayments.com/reference/using-api/webhook-events`. The service waits 10 seconds for a 200, and tries
//! again after 1, 4, 16, … minutes, seven times; here a minute is [`MINUTE_MS`]. Only `createdAt` says in which order
//! things have happened.

mod send;

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

pub(super) use send::sender;

use super::{faults::Faults, korea, language::Language, record::Record};

/// How many webhooks can be on their way, and how many more can wait for that; later ones are dropped.
pub const WEBHOOK_QUEUE_MAX: usize = 10_000;

/// How often one webhook is tried.
pub const WEBHOOK_TRIES_MAX: u32 = 8;

/// How long the service's minute is here, in milliseconds: one webhook is tried for four and a half minutes in all, so
/// that it outlives a restart of its receiver.
const MINUTE_MS: u64 = 50;

/// How long one try may take, in milliseconds.
const TRY_MS_MAX: u64 = 10_000;

/// How many tries are made at once.
const TRIES_AT_ONCE_MAX: usize = 32;

/// How long a webhook is held back at most where they are to be reordered, in milliseconds.
const REORDER_MS_MAX: u64 = 1_000;

/// The time of sending, how often it was sent before, and the webhook's own name: that of its repetitions, too.
const TIME_HEADER: &str = "tosspayments-webhook-transmission-time";
const RETRIED_HEADER: &str = "tosspayments-webhook-transmission-retried-count";
const ID_HEADER: &str = "tosspayments-webhook-transmission-id";

/// One change of a payment, and how to tell of it.
#[derive(Clone)]
pub(super) struct Notice {
    id: Uuid,
    payment_key: Arc<str>,
    order: Arc<str>,
    body: Bytes,
    times: u64,
    reordered: bool,
}

impl Notice {
    pub fn of(record: &Record, faults: Faults) -> serde_json::Result<Self> {
        let body = json!({
            "eventType": "PAYMENT_STATUS_CHANGED",
            "createdAt": korea::local_time(Utc::now()),
            "data": record.to_json(Language::Korean)?,
        });
        Ok(Self {
            id: Uuid::new_v4(),
            payment_key: record.key.clone(),
            order: record.order.clone(),
            body: body.to_string().into(),
            times: faults.duplicate_webhooks + 1,
            reordered: faults.reorder_webhooks,
        })
    }
}

/// How long to wait after so many tries that were in vain, unless they were all.
fn wait_after(tries: u32) -> Option<Duration> {
    (tries < WEBHOOK_TRIES_MAX).then(|| Duration::from_millis(MINUTE_MS * 4_u64.pow(tries.saturating_sub(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_be_away_for_four_minutes() {
        let waits: Vec<Duration> = (1..).map_while(wait_after).collect();
        assert_eq!(waits.len(), 7);
        assert_eq!(waits[..3], [50, 200, 800].map(Duration::from_millis));
        assert_eq!(waits.iter().sum::<Duration>(), Duration::from_millis(273_050));
    }
}
