//! What goes wrong while schedules run. It goes by how far the log has come, not by the clock.

use std::time::Duration;

use proof::Dice;
use saga::Saga;
use stack::testing::eventually;

use super::{database::Database, process::Processes};

/// Events between two misfortunes, at least and at most.
const EVENTS: (u64, u64) = (100, 500);
/// How long the log may stand still.
const STANDSTILL_MAX: Duration = Duration::from_mins(1);
/// Batches that a saga handles which nobody has elected.
const ROGUE_BATCHES: usize = 5;

/// One misfortune after the other, for ever.
pub async fn run(mut dice: Dice, database: &Database, processes: &Processes) {
    loop {
        let next = database.head().await + EVENTS.0 + dice.below(EVENTS.1 - EVENTS.0);
        eventually("the log to grow", STANDSTILL_MAX, || async { database.head().await >= next }).await;
        match dice.below(8) {
            0..3 => processes.crash(dice.place(2)).await,
            3..5 => database.terminate(true).await,
            5 => database.terminate(false).await,
            _ => rogue_saga(processes, dice.place(2)).await,
        }
    }
}

/// A saga works beside the one that was elected, as one does that has not noticed yet that it was not elected again.
async fn rogue_saga(processes: &Processes, nth: usize) {
    let journal = processes.any(nth).journal;
    let Ok(mut saga) = Saga::resume(&journal).await else { return };
    for _ in 0..ROGUE_BATCHES {
        // Only one of the two gets through with a batch; the other hears that the checkpoint was moved.
        let wait = Duration::from_millis(200);
        match tokio::time::timeout(wait, saga.step(16)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
