//! Thousands of schedules drawn from seeds.

use std::thread;

use proof::{
    Tally,
    memory::{self, Fault, Gate, Mutation},
};

/// Schedules run, unless `BOXOFFICE_PROOF_SEEDS` says otherwise.
const SEEDS_DEFAULT: u64 = 5_000;

/// How often each thing is met, at least.
const MET_MIN: u64 = 5;
/// What is met, besides every fault at every gate.
const MET: [&str; 22] = [
    "CapacityChanged",
    "TicketsHeld",
    "TicketsRefused",
    "TicketsSold",
    "TicketsReleased",
    "ConcertCanceled",
    "BookingRequested",
    "BookingApproved",
    "BookingRejected",
    "BookingCanceled",
    "BookingExpired",
    "PaymentRequested",
    "PaymentAttempted",
    "PaymentDeclined",
    "PaymentAttemptAbandoned",
    "PaymentPutOff",
    "PaymentApproved",
    "PaymentCancelRequested",
    "PaymentCanceled",
    "late money",
    "refunded past us",
    "Saga CheckpointMoved",
];

/// Says which schedule it was, whatever it panics of.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("run it again with BOXOFFICE_PROOF_SEED={}", self.0);
        }
    }
}

fn run(seed: u64) -> Tally {
    let seed = Seed(seed);
    match memory::run(seed.0, Mutation::None) {
        Ok(tally) => tally,
        Err((breach, story)) => panic!("{story}\n\nseed {}: {breach}", seed.0),
    }
}

#[test]
fn whatever_fails_crashes_repeats_or_comes_late_the_books_agree() {
    if let Some(seed) = crate::number("BOXOFFICE_PROOF_SEED") {
        run(seed);
        return;
    }
    let seeds = crate::number("BOXOFFICE_PROOF_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = |worker: usize| (worker as u64..seeds).step_by(workers).map(run);
    let tally = thread::scope(|scope| {
        let work: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    share(worker).fold(Tally::default(), |mut all, one| {
                        all.add(&one);
                        all
                    })
                })
            })
            .collect();
        work.into_iter().fold(Tally::default(), |mut all, worker| {
            all.add(&worker.join().expect("a schedule failed"));
            all
        })
    });
    if seeds >= SEEDS_DEFAULT {
        met_everything(&tally);
    }
}

/// A proof that never got anywhere would pass too.
fn met_everything(tally: &Tally) {
    for (what, count) in tally.iter() {
        eprintln!("{count:>8} {what}");
    }
    for gate in Gate::ALL {
        for fault in Fault::ALL {
            let what = format!("{gate:?} {fault:?}");
            assert!(tally.count(&what) >= MET_MIN, "too seldom: {what}");
        }
    }
    for what in MET {
        assert!(tally.count(what) >= MET_MIN, "too seldom: {what}");
    }
}
