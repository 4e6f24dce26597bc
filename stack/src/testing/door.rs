//! A gate for races: what a test lets come about, one at a time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// How long a test waits for somebody at a door.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A door in somebody's way: open, until it is shut; from then on it lets through whom the test says.
pub struct Door {
    shut: AtomicBool,
    waiting: Semaphore,
    passes: Semaphore,
}

impl Default for Door {
    fn default() -> Self {
        Self { shut: AtomicBool::new(false), waiting: Semaphore::const_new(0), passes: Semaphore::const_new(0) }
    }
}

impl Door {
    /// Shuts it for whoever comes from now on.
    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Waits until somebody stands before it, who then counts as seen; panics if nobody comes in time.
    pub async fn somebody(&self) {
        let came = timeout(WAIT_MAX, self.waiting.acquire()).await;
        assert!(came.is_ok(), "waited {WAIT_MAX:?} for somebody at the door, in vain");
        came.into_iter().flatten().for_each(SemaphorePermit::forget);
    }

    /// Lets one through.
    pub fn let_one_through(&self) {
        self.passes.add_permits(1);
    }

    /// Goes through, at once where it is open.
    pub async fn pass(&self) {
        if self.shut.load(Ordering::SeqCst) {
            self.waiting.add_permits(1);
            // It is never closed.
            self.passes.acquire().await.into_iter().for_each(SemaphorePermit::forget);
        }
    }
}
