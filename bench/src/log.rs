//! The log that a run has left, checked without the product's code.

use async_nats::{ConnectOptions, jetstream};
use sqlx::{Connection as _, PgConnection};

use crate::{
    error::Error,
    scenarios::{Check, Stage},
};

/// The stream that mirrors the log.
const STREAM: &str = "BOXOFFICE";

/// Positions in the log at which a concert had more tickets out than there are, or fewer than none.
const OVERSOLD: &str = "
WITH counted AS (
    SELECT aggregate_id, position, event_type,
           (payload -> event_type ->> 'qty')::bigint AS qty, payload -> event_type ->> 'was' AS was,
           (payload -> event_type ->> 'capacity')::bigint AS capacity
    FROM events WHERE aggregate_type = 'concert'
), running AS (
    SELECT sum(CASE event_type WHEN 'TicketsHeld' THEN qty WHEN 'TicketsReleased' THEN -qty ELSE 0 END) OVER upto AS held_or_sold,
           sum(CASE event_type WHEN 'TicketsHeld' THEN qty WHEN 'TicketsSold' THEN -qty
                               WHEN 'TicketsReleased' THEN CASE was WHEN 'Held' THEN -qty ELSE 0 END ELSE 0 END) OVER upto AS held,
           max(capacity) OVER upto AS capacity
    FROM counted WINDOW upto AS (PARTITION BY aggregate_id ORDER BY position)
)
SELECT count(*) FROM running WHERE held_or_sold > capacity OR held_or_sold < 0 OR held < 0";

/// Requests that were answered by neither a hold nor a refusal.
const UNANSWERED: &str = "
SELECT count(*) FILTER (WHERE event_type = 'BookingRequested')
     - count(*) FILTER (WHERE event_type IN ('TicketsHeld', 'TicketsRefused')) FROM events";

/// The log has no hole, nothing is oversold, nobody waits, and the mirror has all of it.
pub(crate) async fn check(which: &str, stage: &mut Stage) -> Result<Vec<Check>, Error> {
    let readiness = stage.office.settled().await?;
    let mut connection = PgConnection::connect(stage.product.setting("DATABASE_URL")?).await?;
    let (count, last): (i64, i64) =
        sqlx::query_as("SELECT count(*), coalesce(max(position), 0) FROM events").fetch_one(&mut connection).await?;
    let oversold: i64 = sqlx::query_scalar(OVERSOLD).fetch_one(&mut connection).await?;
    let unanswered: i64 = sqlx::query_scalar(UNANSWERED).fetch_one(&mut connection).await?;
    connection.close().await?;
    let (count, last) = (count.cast_unsigned(), last.cast_unsigned());
    let mirror = mirror(stage.product.setting("NATS_URL")?).await?;
    let of = |what: &str| format!("{which}: {what}");
    Ok(vec![
        Check::equal(of("the journal's last position is the number of its events"), count, last),
        Check::equal(of("readiness knows the journal's end"), last, readiness.journal),
        Check::equal(of("positions at which a concert is oversold"), 0, oversold.cast_unsigned()),
        Check::equal(of("requests without an answer"), 0, unanswered.cast_unsigned()),
        Check::equal(of("messages in JetStream"), last, mirror.0),
        Check::equal(of("the last sequence in JetStream"), last, mirror.1),
    ])
}

/// Messages, and the last sequence. `url` is `nats://USER:PASSWORD@HOST:PORT`.
async fn mirror(url: &str) -> Result<(u64, u64), Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Mirror(error.to_string());
    let login = url.strip_prefix("nats://").and_then(|url| url.split_once('@'));
    let (login, address) = login.ok_or(Error::NoSetting("NATS_URL"))?;
    let (user, password) = login.split_once(':').ok_or(Error::NoSetting("NATS_URL"))?;
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    let client = options.connect(address).await.map_err(|error| wrong(&error))?;
    let stream = jetstream::new(client).get_stream(STREAM).await.map_err(|error| wrong(&error))?;
    let state = &stream.cached_info().state;
    Ok((state.messages, state.last_sequence))
}
