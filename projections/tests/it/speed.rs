//! How fast both are rebuilt, against a plain scan of the same table in the same run. A measurement, run by hand:
//! `SPEED_EVENTS=1000000 cargo nextest run --release -p projections --run-ignored only --no-capture speed`

use std::time::{Duration, Instant};

use aggregates::{AggregateType, BookingCommand, Event, Upcasters, booking::Request, payment::Outcome, saga::Command};
use futures::TryStreamExt;
use projections::{
    MyPage, TicketCounts,
    rebuild::{self, Job},
};

use crate::world::{NOW, World, attempt, booking, catch_up_within, concert, settle, user};

/// Events unless told otherwise: enough to see that it works.
const EVENTS_DEFAULT: u64 = 20_000;
/// Bookings under way at once, and concerts they are of.
const ROUND: u128 = 400;
const CONCERTS: u128 = 20;
/// More tickets than are booked.
const TICKETS: u32 = 1_000_000;
const CAUGHT_UP_MAX: Duration = Duration::from_mins(10);

/// A log of bookings that are requested, held, paid and approved, a few of them cancelled.
async fn grown(events: u64) -> World {
    let mut world = World::new(211).await;
    for n in 0..CONCERTS {
        world.register(n, TICKETS).await;
    }
    let mut first = 0;
    while world.journal.position().0 < events {
        let round = first..first + ROUND;
        let request = |n: u128| {
            let (booking_id, concert_id, user_id) = (booking(n), concert(n % CONCERTS), user(n % 5_000));
            let qty = aggregates::Qty::new(1 + u32::try_from(n % 4).unwrap()).unwrap();
            Command::Booking(booking_id, BookingCommand::Request(Request { booking_id, concert_id, user_id, qty }))
        };
        world.all(round.clone().map(request)).await;
        world.all(round.clone().map(|n| attempt(booking(n)))).await;
        let approved = || Outcome::Approved { approved_at: NOW, payment_key: "k".to_owned() };
        world.all(round.clone().map(|n| settle(booking(n), approved()))).await;
        let cancel = |n| {
            let reason = aggregates::booking::CancelReason::ByFan;
            Command::Booking(booking(n), BookingCommand::Cancel { reason })
        };
        world.all(round.clone().filter(|n| n.is_multiple_of(20)).map(cancel)).await;
        first += ROUND;
    }
    world
}

/// Reads the whole table by COPY and decodes every event: the limit.
async fn scan(world: &World) -> u64 {
    let mut connection = world.journal.pool().acquire().await.unwrap();
    let sql = "COPY (SELECT aggregate_type, event_type, event_version, payload FROM events ORDER BY position) TO STDOUT
               (FORMAT binary)";
    let (mut messages, upcasters) = (connection.copy_out_raw(sql).await.unwrap(), Upcasters::current());
    let (mut count, mut is_first) = (0, true);
    while let Some(message) = messages.try_next().await.unwrap() {
        let mut rest = if std::mem::take(&mut is_first) { &message[19..] } else { &message[..] };
        while rest.len() > 2 {
            rest = &rest[2..];
            let mut field = || {
                let length = usize::try_from(i32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
                let field = std::str::from_utf8(&rest[4..4 + length]).unwrap();
                rest = &rest[4 + length..];
                field
            };
            let (aggregate, name, version, payload) = (field(), field(), field(), field());
            let aggregate: AggregateType = aggregate.parse().unwrap();
            Event::decode(&upcasters, aggregate, name, version, payload).unwrap();
            count += 1;
        }
    }
    count
}

fn rate(events: u64, began: Instant) -> f64 {
    f64::from(u32::try_from(events).unwrap()) / began.elapsed().as_secs_f64()
}

/// The most memory this process had since it was last asked, in MiB; 0 where nobody tells.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    peak.unwrap_or_default() / 1024
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: by hand, in release"]
async fn rebuilds_beside_a_plain_scan() {
    let events = std::env::var("SPEED_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(EVENTS_DEFAULT);
    let began = Instant::now();
    let world = grown(events).await;
    let events = world.journal.position().0;
    println!("{events} events made in {:.1} s", began.elapsed().as_secs_f64());
    sqlx::query("VACUUM ANALYZE events").execute(world.journal.pool()).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mypage.db");
    let pool = world.journal.pool().clone();
    // A journal with nothing in memory, as a process has that is started.
    let journal = crate::world::open(&world.postgres).await;
    let began = Instant::now();
    catch_up_within(&journal, TicketCounts::open(pool.clone()).await.unwrap(), CAUGHT_UP_MAX).await;
    println!("counts, live from 0: {:.0}/s", rate(events, began));
    let began = Instant::now();
    catch_up_within(&journal, MyPage::open(&path).await.unwrap().1, CAUGHT_UP_MAX).await;
    println!("mypage, live from 0: {:.0}/s", rate(events, began));

    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(scan(&world).await, events);
        let limit = rate(events, began);
        peak_mib();
        let began = Instant::now();
        let counts = rebuild::run_ticket_counts(Job::new(pool.clone(), rebuild::journal(pool.clone()))).await.unwrap();
        let (counts_rate, counts_mib) = (rate(events, began), peak_mib());
        let began = Instant::now();
        let mypage = rebuild::run_mypage(&path, Job::new(pool.clone(), rebuild::journal(pool.clone()))).await.unwrap();
        let (mypage_rate, mypage_mib) = (rate(events, began), peak_mib());
        assert_eq!((counts.differences, mypage.differences), (0, 0), "{counts:?} {mypage:?}");
        println!(
            "scan {limit:.0}/s; counts {counts_rate:.0}/s ({:.2} of it, peak {counts_mib} MiB); mypage {mypage_rate:.0}/s ({} rows, peak {mypage_mib} MiB)",
            counts_rate / limit,
            mypage.rows
        );
    }
}
