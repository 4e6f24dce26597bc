//! Very many holds that are due in the same second, while others book.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{Boxoffice, Fan, concert_of, eventually, scale};

/// Holds, where the environment does not say.
const HOLDS: usize = 500;
/// Requests at once.
const AT_ONCE: usize = 100;
/// Seconds from the first hold to its end; one more for each of [`HOLDS_A_SECOND`].
const LEAST_SECONDS: i64 = 6;
/// See there.
const HOLDS_A_SECOND: usize = 500;
/// How often others book.
const BYSTANDER_PAUSE: Duration = Duration::from_millis(10);
/// How long the holds may take to end, however busy the machine is.
const ENDED_MAX: Duration = Duration::from_mins(2);

/// Makes holds that all end within a second of `due`: as time goes on, on concerts that hold for a shorter time.
async fn hold(system: &Boxoffice, fan: &Fan, holds: usize, due: DateTime<Utc>) -> (Vec<String>, usize) {
    let organizer = system.organizer().await;
    let (mut concerts, mut made) = (Vec::new(), 0);
    while made < holds {
        let left = due - Utc::now();
        if left < TimeDelta::seconds(2) {
            // On a slow machine they are fewer.
            break;
        }
        let mut body = concert_of(1_000_000);
        body["holdSeconds"] = json!(left.num_seconds());
        let concert = organizer.post("/concerts", &body).await.ok(201).text_at("/id");
        let until = due - TimeDelta::seconds(left.num_seconds() - 1);
        let books = stream::iter(made..holds).take_while(|_| std::future::ready(Utc::now() < until));
        let booked = books.map(|_| fan.book(&concert, 1)).buffer_unordered(AT_ONCE);
        made += booked.map(|answer| drop(answer.ok(201))).count().await;
        concerts.push(concert);
    }
    (concerts, made)
}

/// Books again and again until told to stop; how long each booking took.
async fn bystander(fan: &Fan, concert: &str, stop: &AtomicBool) -> Vec<(DateTime<Utc>, Duration)> {
    let mut took = Vec::new();
    let mut pace = tokio::time::interval(BYSTANDER_PAUSE);
    while !stop.load(Relaxed) {
        pace.tick().await;
        let (at, begin) = (Utc::now(), Instant::now());
        fan.book(concert, 1).await.ok(201);
        took.push((at, begin.elapsed()));
    }
    took
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or_default()
}

/// For each hold that has ended, in seconds after its deadline: the earliest and the latest end, and the latest release.
async fn ends(pool: &PgPool) -> (i64, f64, f64, f64) {
    let mut connection = pool.acquire().await.unwrap();
    // Postgres has no idea of how many rows JSON makes, and would join them one by one.
    sqlx::query("SET enable_nestloop = off").execute(&mut *connection).await.unwrap();
    sqlx::query_as(
        "SELECT count(*), coalesce(min(extract(epoch FROM expired.recorded_at - until)), 0)::float8,
                coalesce(max(extract(epoch FROM expired.recorded_at - until)), 0)::float8,
                coalesce(extract(epoch FROM max(released.recorded_at) - max(until)), 0)::float8
         FROM (SELECT payload->'TicketsHeld'->>'bookingId' AS booking, (payload->'TicketsHeld'->>'expiresAt')::timestamptz AS until
               FROM events WHERE event_type = 'TicketsHeld') AS held
         JOIN (SELECT aggregate_id AS booking, recorded_at FROM events WHERE event_type = 'BookingExpired') AS expired
              USING (booking)
         JOIN (SELECT payload->'TicketsReleased'->>'bookingId' AS booking, recorded_at FROM events WHERE event_type = 'TicketsReleased')
              AS released USING (booking)",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_due_in_one_second_are_released_while_others_book() {
    let holds = scale("BOXOFFICE_HOLDS", HOLDS);
    let system = Boxoffice::start().await;
    let (fan, other) = (system.fan().await, system.fan().await);
    let elsewhere = system.organizer().await.register_concert(1_000_000).await;
    let due = Utc::now() + TimeDelta::seconds(LEAST_SECONDS + i64::try_from(holds / HOLDS_A_SECOND).unwrap());
    let (concerts, holds) = hold(&system, &fan, holds, due).await;
    assert!(holds > 0, "no hold was made in time");
    let stop = AtomicBool::new(false);
    let postgres = system.postgres().await;
    let waits = async {
        // By the view, which costs little: what is measured should not be disturbed by looking at it.
        for concert in &concerts {
            let path = format!("/concerts/{concert}");
            eventually("the holds to end", ENDED_MAX, async || other.get(&path).await.ok(200).tickets()[1] == 0).await;
        }
        stop.store(true, Relaxed);
    };
    let (took, ()) = tokio::join!(bystander(&other, &elsewhere, &stop), waits);

    let (ended, earliest, latest, all_released) = ends(&postgres).await;
    assert_eq!(ended, i64::try_from(holds).unwrap());
    assert!(earliest >= 0.0, "one ended {earliest} s before its deadline");
    for concert in &concerts {
        other.tickets_become(concert, [1_000_000, 0, 0, 1_000_000]).await;
    }
    other.tickets_become(&elsewhere, [1_000_000, took.len() as u64, 0, 1_000_000 - took.len() as u64]).await;
    let of = |is_wanted: &dyn Fn(DateTime<Utc>) -> bool| {
        let mut took: Vec<_> = took.iter().filter(|(at, _)| is_wanted(*at)).map(|(_, took)| *took).collect();
        took.sort_unstable();
        (took.len(), percentile(&took, 0.5), percentile(&took, 0.99))
    };
    println!("{holds} holds: expired {earliest:.2} s to {latest:.2} s after their deadline,");
    println!("the last ticket was free {all_released:.2} s after the last deadline");
    println!(
        "others' bookings (number, p50, p99): before {:?}, meanwhile {:?}",
        of(&|at| at < due),
        of(&|at| at >= due)
    );
}
