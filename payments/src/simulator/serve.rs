//! The simulator on a socket.

use std::{future::IntoFuture, io, time::Duration};

use tokio::{net::TcpListener, time};
use tokio_util::sync::CancellationToken;

use super::{router, state::Simulator, webhooks};

/// How long open connections may take to end once `shutdown` is asked for, in milliseconds.
pub const SHUTDOWN_MS_MAX: u64 = 2_000;

/// Serves `simulator` on `listener`, and sends its webhooks if it has somewhere to send them, until `shutdown`. Slow
/// answers are then given at once, late effects come at once, and webhooks not sent yet are dropped.
pub async fn serve(listener: TcpListener, mut simulator: Simulator, shutdown: CancellationToken) -> io::Result<()> {
    simulator.shutdown = shutdown.clone();
    let sender = match simulator.webhook_url.clone() {
        Some(url) => {
            let (queue, sender) = webhooks::sender(url).map_err(io::Error::other)?;
            simulator.webhooks = Some(queue);
            Some(sender)
        }
        None => None,
    };
    let server =
        axum::serve(listener, router(simulator.clone())).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        time::sleep(Duration::from_millis(SHUTDOWN_MS_MAX)).await;
    };
    let serving = async {
        tokio::select! {
            result = server.into_future() => result,
            () = overdue => Ok(()),
        }
    };
    let sending = async {
        if let Some(sender) = sender {
            shutdown.run_until_cancelled(sender.run()).await;
        }
    };
    let (ended, ()) = tokio::join!(serving, sending);
    // What was taken is done, though nobody waits for it any more.
    simulator.late.close();
    simulator.late.wait().await;
    ended
}
