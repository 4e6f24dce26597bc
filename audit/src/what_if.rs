//! A past sale under other terms: its real requests, replayed in memory.
//!
//! What people would have done is not in the log; what is assumed of them stands in [`ASSUMPTIONS`], and is told with every
//! result.

mod model;
mod past;

use aggregates::{AggregateType, ConcertId};
use serde::Serialize;
use sqlx::PgConnection;

use crate::Error;
use model::simulate;
use past::Past;

/// What a result rests on.
pub const ASSUMPTIONS: [&str; 5] = [
    "the same people ask at the same times for the same numbers of tickets, and nobody asks again",
    "whoever paid, or called off, does so after the same time, if the tickets are still held by then; whoever did not pay \
     does not",
    "whoever was refused in fact would have done as the one whose tickets were held last before (or first, if none were)",
    "a hold ends exactly when its time is over: a provider in trouble does not put it off",
    "changes of the capacity and a cancellation of the concert come when they came; a capacity below what would be held and sold \
     then is refused, and where a capacity is given there are no changes of it",
];

/// Other terms; `None`: as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Seconds from hold to expiry.
    pub hold_seconds: Option<u32>,
    /// Tickets one booking may have.
    pub max_per_booking: Option<u32>,
    /// Tickets there are, from the beginning on.
    pub capacity: Option<u32>,
}

/// How a sale went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Bookings that asked.
    pub requests: u64,
    /// Bookings that were refused because too few tickets were left.
    pub refused_sold_out: u64,
    /// Bookings that were refused because they asked for too many.
    pub refused_max_per_booking: u64,
    /// Bookings that were refused otherwise.
    pub refused_otherwise: u64,
    /// Bookings that bought their tickets.
    pub sold_bookings: u64,
    /// Bookings whose hold ended unpaid.
    pub expired: u64,
    /// Bookings that were called off, before or after they were paid.
    pub called_off: u64,
    /// Tickets sold in the end.
    pub sold: i64,
    /// Tickets still held in the end.
    pub held: i64,
    /// Tickets there were in the end.
    pub capacity: i64,
    /// Seconds from the first request until no ticket was available for the first time.
    pub sold_out_after_seconds: Option<f64>,
    /// Seconds from the first request until the last ticket was sold.
    pub last_sale_after_seconds: Option<f64>,
}

/// A past sale, as it was and as it would have been.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhatIf {
    /// Which concert.
    pub concert_id: ConcertId,
    /// What it is called.
    pub name: String,
    /// Its terms.
    pub terms: Policy,
    /// The other terms.
    pub policy: Policy,
    /// As the log has it.
    pub as_it_was: Outcome,
    /// As it would have been.
    pub as_it_would_be: Outcome,
    /// The same replay under the terms that there were: where it differs from the log, so much is the model's doing.
    pub model_as_it_was: Outcome,
    /// What all this rests on.
    pub assumptions: [&'static str; 5],
}

/// Replays a concert's requests under `policy`.
pub async fn what_if(connection: &mut PgConnection, concert: ConcertId, policy: Policy) -> Result<WhatIf, Error> {
    let past = Past::read(connection, concert).await?;
    let terms = past.terms.as_ref().ok_or(Error::NoSuch(AggregateType::Concert, concert.0))?;
    let was = Policy {
        hold_seconds: Some(terms.hold_seconds),
        max_per_booking: terms.max_per_booking.map(aggregates::Qty::get),
        capacity: Some(terms.capacity_registered),
    };
    Ok(WhatIf {
        concert_id: concert,
        name: terms.name.clone(),
        terms: was,
        policy,
        as_it_was: past.outcome,
        as_it_would_be: simulate(&past, terms, policy),
        model_as_it_was: simulate(&past, terms, Policy::default()),
        assumptions: ASSUMPTIONS,
    })
}
