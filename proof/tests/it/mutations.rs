//! The proof proved: mistakes that somebody could make are found.

use proof::memory::{self, Fault, Flow, Mutation};

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

#[test]
fn one_who_dies_between_two_things_that_follow_is_found() {
    let run = |mutation, fault| Flow::GivenBackUnheard.run_with(mutation, usize::MAX, fault);
    let (_, gates) =
        run(Mutation::NothingMoreNoted, None).unwrap_or_else(|(breach, _)| panic!("undisturbed: {breach}"));
    let dies = |at| run(Mutation::NothingMoreNoted, Some((at, Fault::CrashesAfter)));
    let found = (0..gates.len()).find_map(|at| dies(at).err().map(|(breach, _)| (gates[at], breach)));
    let (gate, breach) = found.expect("it was not found");
    eprintln!("dying at {gate:?}: {breach}");
    for (at, gate) in gates.iter().enumerate() {
        if let Err((breach, story)) = run(Mutation::None, Some((at, Fault::CrashesAfter))) {
            panic!("{story}\n\ndying at {gate:?}: {breach}");
        }
    }
}
