//! `boxoffice audit history`.

use std::{io::Write as _, process::ExitCode};

use aggregates::{AggregateType, ConcertId, UserId};
use audit::{Range, Told, Whose, events};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use futures::TryStreamExt as _;
use journal::Position;
use uuid::Uuid;

use super::place::{Fault, Place, aggregate, ended, line, out};

/// Whose events, and which of them.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// user, concert, booking, or payment.
    #[arg(value_parser = aggregate)]
    aggregate: AggregateType,
    /// Which one.
    #[arg(required_unless_present_any = ["user", "concert"])]
    id: Option<Uuid>,
    /// All bookings of this user.
    #[arg(long, value_name = "ID", conflicts_with_all = ["id", "concert"])]
    user: Option<Uuid>,
    /// All bookings of this concert.
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    concert: Option<Uuid>,
    /// Not before this position.
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Not after this position.
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
    /// Not before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Not after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Print JSON documents, one a line.
    #[arg(long)]
    json: bool,
}

/// Tells them.
pub(super) async fn run(options: Options) -> ExitCode {
    ended(tell(options).await)
}

async fn tell(options: Options) -> Result<(), Fault> {
    let Options { aggregate: kind, id, user, concert, from, to, since, until, json, place } = options;
    if id.is_none() && kind != AggregateType::Booking {
        let given = if user.is_some() { "--user" } else { "--concert" };
        return Err(Fault::Misused(format!("{given} is for bookings, not for a {kind}")));
    }
    let whose = match (id, user, concert) {
        (Some(id), ..) => Whose::Aggregate(kind, id),
        (None, Some(user), _) => Whose::BookingsOfUser(UserId(user)),
        (None, None, Some(concert)) => Whose::BookingsOfConcert(ConcertId(concert)),
        (None, None, None) => return Err(Fault::Misused("ID is missing".to_owned())),
    };
    let range = Range { from: from.map(Position), to: to.map(Position), since, until, limit: None };
    let mut snapshot = place.snapshot().await?;
    let (mut out, mut any) = (out(), false);
    {
        let mut told = events(snapshot.connection(), whose, range);
        while let Some(event) = told.try_next().await? {
            if json {
                line(&mut out, &event)?;
            } else {
                if !any {
                    writeln!(out, "{}", heading(id.is_none()))?;
                }
                writeln!(out, "{}", row(&event, id.is_none()))?;
            }
            any = true;
        }
    }
    if !any
        && let Some(id) = id
        && events(snapshot.connection(), whose, Range { limit: Some(1), ..Range::default() })
            .try_next()
            .await?
            .is_none()
    {
        return Err(audit::Error::NoSuch(kind, id).into());
    }
    Ok(out.flush()?)
}

fn heading(with_id: bool) -> String {
    let id = if with_id { format!("{:36}  ", "booking") } else { String::new() };
    format!(
        "{:>10}  {:27}  {id}{:>5}  {:22}  {:41}  {:20}  what",
        "position", "recorded at", "seq", "event", "who", "because of"
    )
}

fn row(event: &Told, with_id: bool) -> String {
    let id = if with_id { format!("{}  ", event.aggregate_id) } else { String::new() };
    let text = format!(
        "{:>10}  {:27}  {id}{:>5}  {:22}  {:41}  {:20}  {}",
        event.position.0,
        event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        event.sequence.0,
        event.event_type,
        event.actor.as_deref().unwrap_or("?"),
        event.causation.as_deref().unwrap_or("?"),
        event.in_short(),
    );
    text.trim_end().to_owned()
}
