//! The proof proved: mistakes that somebody could make are found.

use proof::memory::{self, Mutation};

/// Within so many schedules each mistake must show.
const SEEDS_MAX: u64 = 20_000;

#[test]
fn mistakes_are_found() {
    for mistake in Mutation::MISTAKES {
        let found = (0..SEEDS_MAX).find_map(|seed| memory::run(seed, mistake).err().map(|(breach, _)| (seed, breach)));
        let (seed, breach) = found.unwrap_or_else(|| panic!("{mistake:?} was not found in {SEEDS_MAX} schedules"));
        eprintln!("{mistake:?}: seed {seed}: {breach}");
    }
}
