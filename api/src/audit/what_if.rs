//! `boxoffice audit what-if`.

use std::{io::Write as _, process::ExitCode};

use aggregates::{
    ConcertId, Qty,
    concert::{CAPACITY_MAX, HOLD_SECONDS_MAX, HOLD_SECONDS_MIN},
};
use audit::{Outcome, Policy, WhatIf, what_if};
use clap::Args;
use uuid::Uuid;

use super::place::{Fault, Place, document, ended, out};
use crate::status::{
    figures::{count, duration},
    table::aligned,
};

/// Of which concert, under which terms.
#[derive(Args)]
#[group(id = "terms", args = ["hold_seconds", "max_per_booking", "capacity"], required = true, multiple = true)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The concert.
    concert: Uuid,
    /// Seconds from hold to expiry.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(i64::from(HOLD_SECONDS_MIN)..=i64::from(HOLD_SECONDS_MAX)))]
    hold_seconds: Option<u32>,
    /// Tickets one booking may have.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(Qty::MAX)))]
    max_per_booking: Option<u32>,
    /// Tickets there are, from the beginning on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CAPACITY_MAX)))]
    capacity: Option<u32>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

/// Tells.
pub(super) async fn run(options: Options) -> ExitCode {
    ended(tell(options).await)
}

async fn tell(options: Options) -> Result<(), Fault> {
    let Options { place, concert, hold_seconds, max_per_booking, capacity, json } = options;
    let policy = Policy { hold_seconds, max_per_booking, capacity };
    let mut snapshot = place.snapshot().await?;
    let told = what_if(snapshot.connection(), ConcertId(concert), policy).await?;
    if json { document(&told) } else { show(&told) }
}

fn show(told: &WhatIf) -> Result<(), Fault> {
    let mut out = out();
    let number = |number: Option<u32>| number.map_or_else(|| "any".to_owned(), |number| count(number.into()));
    let Policy { hold_seconds, max_per_booking, capacity } = told.policy;
    let terms = told.terms;
    let mut rows = vec![vec![String::new(), "as it was".into(), "would be".into(), "difference".into()]];
    for (name, was, would) in [
        ("hold, seconds", terms.hold_seconds, hold_seconds),
        ("most per booking", terms.max_per_booking, max_per_booking),
        ("tickets at first", terms.capacity, capacity),
    ] {
        rows.push(vec![name.to_owned(), number(was), number(would.or(was)), String::new()]);
    }
    rows.push(Vec::new());
    let (was, would, model) = (told.as_it_was, told.as_it_would_be, told.model_as_it_was);
    for (name, of) in FIGURES {
        let (was, would) = (of(&was), of(&would));
        rows.push(vec![name.to_owned(), was.to_string(), would.to_string(), format!("{:+}", would - was)]);
    }
    for (name, of) in TIMES {
        let shown = |time: Option<f64>| time.map_or_else(|| "never".to_owned(), duration);
        rows.push(vec![name.to_owned(), shown(of(&was)), shown(of(&would)), String::new()]);
    }
    writeln!(out, "{}, concert {}", told.name, told.concert_id)?;
    writeln!(out)?;
    for row in aligned(&rows, &[1, 2, 3]) {
        writeln!(out, "{row}")?;
    }
    writeln!(out)?;
    writeln!(out, "This assumes that")?;
    for assumption in told.assumptions {
        writeln!(out, "  - {assumption}")?;
    }
    let (is, by_model) = (was.sold, model.sold);
    writeln!(
        out,
        "Under the terms that there were, the same replay sells {by_model} tickets; in fact {is} were sold."
    )?;
    Ok(out.flush()?)
}

type Figure = fn(&Outcome) -> i64;
type Time = fn(&Outcome) -> Option<f64>;

const FIGURES: [(&str, Figure); 10] = [
    ("requests", |outcome| outcome.requests.cast_signed()),
    ("refused: sold out", |outcome| outcome.refused_sold_out.cast_signed()),
    ("refused: too many", |outcome| outcome.refused_max_per_booking.cast_signed()),
    ("refused otherwise", |outcome| outcome.refused_otherwise.cast_signed()),
    ("bookings sold", |outcome| outcome.sold_bookings.cast_signed()),
    ("expired", |outcome| outcome.expired.cast_signed()),
    ("called off", |outcome| outcome.called_off.cast_signed()),
    ("tickets sold", |outcome| outcome.sold),
    ("tickets held", |outcome| outcome.held),
    ("tickets left", |outcome| outcome.capacity - outcome.held - outcome.sold),
];

const TIMES: [(&str, Time); 2] = [
    ("sold out after", |outcome| outcome.sold_out_after_seconds),
    ("last sale after", |outcome| outcome.last_sale_after_seconds),
];
