//! A few hundred schedules on the real stack: Postgres, two processes over it with the product's own offices, and the
//! product's adapter over HTTP to the simulator. Everything dies now and then; in the end the same checker reads the log.

pub mod books;
mod chaos;
mod database;
mod process;
mod provider;
mod schedule;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use proof::Dice;
use stack::testing::eventually;

use self::{database::Database, process::Processes, provider::Faulty};

/// Schedules run, unless `BOXOFFICE_PROOF_REAL_SEEDS` says otherwise.
const SEEDS_DEFAULT: u64 = 300;
/// Schedules under way at once.
const AT_ONCE: usize = 48;
/// How long everything may take to settle. A try without an outcome alone is left alone for ten seconds.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_real_stack_the_books_agree_too() {
    let seeds = crate::number("BOXOFFICE_PROOF_REAL_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let only = crate::number("BOXOFFICE_PROOF_SEED");
    let database = Database::start().await;
    let provider = Arc::new(Faulty::start(only.unwrap_or(seeds)).await);
    let processes = Arc::new(Processes::start(&database, Arc::clone(&provider) as _).await);
    database.trouble(true).await;

    let seeds = only.map_or(0..seeds, |seed| seed..seed + 1);
    let schedules = stream::iter(seeds).map(|seed| {
        let processes = Arc::clone(&processes);
        tokio::spawn(async move { schedule::run(seed, &processes).await })
    });
    let all = async {
        let mut schedules = schedules.buffer_unordered(AT_ONCE);
        while let Some(done) = schedules.next().await {
            done.expect("a schedule to come to its end");
        }
    };
    let chaos = chaos::run(Dice::new(7), &database, &processes);
    tokio::select! {
        () = all => {}
        () = chaos => {}
    }

    // Nothing fails any more.
    database.trouble(false).await;
    provider.be_good();
    eventually("all tries to pay to be settled", SETTLE_WAIT_MAX, || books::are_tries_settled(&database.pool)).await;
    // What was still on its way arrives now, when it has been given up, and is found when somebody looks again.
    provider.deliver_the_rest().await;
    eventually("everything to be settled", SETTLE_WAIT_MAX, || books::are_settled(&database.pool)).await;
    let checked = books::check(&database.pool, &provider.toss, provider.counts()).await;
    checked.tell(&provider.told());
    if only.is_none() {
        checked.met_everything();
    }
    processes.stop().await;
    provider.stop().await;
}
