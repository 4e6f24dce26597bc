//! Being told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Ctrl-C and SIGTERM.
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    pub fn new() -> Self {
        let listen = |kind| match signal(kind) {
            Ok(signal) => Some(signal),
            Err(error) => {
                tracing::warn!(%error, "a signal cannot be listened for; it ends the process at once");
                None
            }
        };
        Self { interrupt: listen(SignalKind::interrupt()), terminate: listen(SignalKind::terminate()) }
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        async fn of(signal: Option<&mut Signal>) {
            match signal {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = of(self.interrupt.as_mut()) => {}
            () = of(self.terminate.as_mut()) => {}
        }
    }

    /// Runs until the first one, then cancels `stop` and finishes; a second one ends the process at once.
    pub async fn until_stopped(stop: &CancellationToken, finish: impl Future<Output = ()>) {
        let mut signals = Self::new();
        signals.next().await;
        stop.cancel();
        tokio::select! {
            () = finish => {}
            () = signals.next() => tracing::warn!("stopped at once"),
        }
    }
}
