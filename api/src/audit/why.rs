//! `boxoffice audit why`.

use std::{io::Write as _, process::ExitCode};

use aggregates::BookingId;
use audit::Why;
use chrono::SecondsFormat;
use clap::Args;
use uuid::Uuid;

use super::place::{Fault, Place, document, ended, out};
use crate::status::{figures::several, table::aligned};

/// Bookings that had tickets which are shown to people.
const HOLDERS_SHOWN_MAX: usize = 10;

/// Which booking.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The booking.
    booking: Uuid,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

/// Tells why.
pub(super) async fn run(options: Options) -> ExitCode {
    ended(tell(options).await)
}

async fn tell(options: Options) -> Result<(), Fault> {
    let Options { place, booking, json } = options;
    let mut snapshot = place.snapshot().await?;
    let why = audit::why(snapshot.connection(), BookingId(booking)).await?;
    if json { document(&why) } else { show(&why) }
}

fn show(why: &Why) -> Result<(), Fault> {
    let mut out = out();
    writeln!(out, "booking {} is {}: {}", why.booking_id, why.status, why.because)?;
    let decided = &why.decided_by;
    let at = decided.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    writeln!(out, "  decided by   {} at position {}, {at}", decided.event_type, decided.position)?;
    writeln!(out, "  asked for    {} of concert {}", several(u64::from(why.qty), "ticket"), why.concert_id)?;
    if let Some(then) = why.tickets_then {
        let audit::Tickets { capacity, held, sold, available } = then;
        writeln!(out, "  tickets then {capacity}: {sold} sold, {held} held, {available} available")?;
    }
    writeln!(out, "  money        {}", why.money)?;
    writeln!(out)?;
    let rows: Vec<Vec<String>> = why
        .events
        .iter()
        .map(|event| {
            let at = event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            let who = event.actor.clone().unwrap_or_default();
            vec![event.position.to_string(), at, event.event_type.clone(), who, event.in_short()]
        })
        .collect();
    for row in aligned(&rows, &[0]) {
        writeln!(out, "  {row}")?;
    }
    if !why.holders.is_empty() {
        writeln!(out)?;
        writeln!(out, "{} had tickets then; the latest:", several(why.holders_in_all as u64, "booking"))?;
        let rows: Vec<Vec<String>> = why
            .holders
            .iter()
            .take(HOLDERS_SHOWN_MAX)
            .map(|holder| {
                let how = if holder.sold { "sold" } else { "held" };
                let booking = holder.booking_id.to_string();
                vec![format!("{} {how}", holder.qty), booking, format!("since position {}", holder.held_at)]
            })
            .collect();
        for row in aligned(&rows, &[0]) {
            writeln!(out, "  {row}")?;
        }
    }
    Ok(out.flush()?)
}
