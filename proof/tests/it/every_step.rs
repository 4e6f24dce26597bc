//! Every step of the standard flows is failed, crashed before and after its effect, repeated and delayed, one at a time.

use aggregates::BookingStatus;
use proof::memory::{Fault, Flow, Gate, Outcome};

/// Events that the saga takes at once: one, so that each event handled is a step of its own, and all there are.
const BATCHES: [usize; 2] = [1, usize::MAX];

/// Whether what happens on the way may differ from an undisturbed run: the payer races with what else is going on, and a
/// fault makes the other win.
fn is_race(flow: Flow, gate: Gate) -> bool {
    match flow {
        Flow::CancelWhilePaying(0)
        | Flow::ExpireWhilePaying(_)
        // The saga may approve the booking before the attendant calls it off.
        | Flow::GivenBackUnheard
        | Flow::CallConcertOff => true,
        Flow::CancelWhilePaying(_) | Flow::DeclinedOnce => {
            matches!(gate, Gate::Till | Gate::Confirm)
        }
        Flow::Pay | Flow::Expire | Flow::Cancel | Flow::PayAndCancel | Flow::LastTickets => false,
    }
}

/// Whether it ends as if undisturbed: that is so also of a race, but for one against the clock, which can be lost, and where
/// there was no money to be given back, since without a try there is none, and what comes late comes later.
fn ends_alike(flow: Flow, gate: Gate, race: bool, outcome: &Outcome, undisturbed: &Outcome) -> bool {
    let lost = race && matches!(flow, Flow::ExpireWhilePaying(_)) && {
        outcome.kept == 0 && outcome.statuses.values().all(|status| *status == Some(BookingStatus::BookingExpired))
    };
    let other_money = flow == Flow::GivenBackUnheard && matches!(gate, Gate::Till | Gate::Confirm);
    lost || other_money || (&outcome.statuses, outcome.kept) == (&undisturbed.statuses, undisturbed.kept)
}

#[test]
fn every_step_of_every_flow_can_fail_crash_repeat_and_come_late() {
    let mut runs = 0;
    for flow in Flow::all() {
        for batch in BATCHES {
            let (undisturbed, gates) =
                flow.run(batch, None).unwrap_or_else(|(breach, story)| panic!("{story}\n\n{flow:?}: {breach}"));
            for (at, gate) in gates.iter().enumerate() {
                for fault in Fault::ALL {
                    let what = format!("{flow:?}, batches of {batch}: {fault:?} at {gate:?}, {at} of {}", gates.len());
                    let (outcome, _) = flow
                        .run(batch, Some((at, fault)))
                        .unwrap_or_else(|(breach, story)| panic!("{story}\n\n{what}: {breach}"));
                    let race = is_race(flow, *gate);
                    assert!(ends_alike(flow, *gate, race, &outcome, &undisturbed), "{what}: {outcome:?}");
                    assert!(race || outcome.events == undisturbed.events, "{what}: {:?}", outcome.events);
                    runs += 1;
                }
            }
        }
    }
    eprintln!("{runs} runs");
}
