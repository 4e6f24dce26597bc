//! The work here is forking, waiting and copying files: blocking by nature, so the async face of it is a thin one.

use std::time::{Duration, Instant};

use crate::Error;

/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(5);

/// Runs blocking work off the async threads.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(Error::Interrupted),
        },
    }
}

/// Polls `condition` until it yields a value; after `deadline` fails with an error that names `what`.
pub(crate) fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() >= deadline {
            return Err(Error::Deadline { what: what.to_owned(), waited: deadline, detail: String::new() });
        }
        std::thread::sleep(POLL);
    }
}
