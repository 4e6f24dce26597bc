//! The stream, dropped and filled again from Postgres, while everything else goes on.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self, ErrorCode,
        context::{DeleteStreamError, DeleteStreamErrorKind},
    },
};
use journal::{Journal, Position, seize};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    Agreement, AgreementError, ExtentError, LEASE, Relay, RelayState, STREAM, StreamOptions, compare, mirrored_position,
};

/// How often it is looked how far the stream is.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Why the stream is not as it should be.
#[derive(Debug, Error)]
pub enum RefillError {
    /// It could not be dropped.
    #[error("the stream {STREAM} cannot be dropped: {0}")]
    Drop(#[from] DeleteStreamError),
    /// Nobody can tell how far it is.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// It is not the log.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// The lease could not be asked for.
    #[error("Postgres cannot be asked who the relay is: {0}")]
    Lease(#[from] sqlx::Error),
    /// The relay that this process ran for it has stopped.
    #[error("the relay is halted: {0}")]
    Halted(String),
}

/// How a refill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refilled {
    /// What the stream holds.
    pub agreement: Agreement,
    /// Whether the elected relay filled it; else there was none, and this process did.
    pub by_the_relay: bool,
}

/// Drops the stream and waits until it has all that the journal had by then, telling `progress` how far it is.
///
/// The elected relay sees that its stream is gone, makes a new one and fills it, as after any loss: it neither halts nor
/// has to be asked. Where none is elected, this process takes the office until the stream is full. Who is killed in the
/// middle leaves a stream that is merely behind, which the next relay goes on with.
pub async fn refill(
    journal: &Journal,
    client: &Client,
    mut progress: impl FnMut(Position, Position),
) -> Result<Refilled, RefillError> {
    let target = journal.position();
    drop_stream(client).await?;
    let mut by_the_relay = true;
    loop {
        // A stream that is not there yet is one that holds nothing.
        let at = match mirrored_position(client).await {
            Ok(position) => position,
            Err(ExtentError::NoStream) => Position(0),
            Err(error @ ExtentError::Ask(_)) => return Err(error.into()),
        };
        progress(at, target);
        if at >= target {
            break;
        }
        if let Some(lease) = seize(journal.connect_options(), LEASE).await? {
            by_the_relay = false;
            let filled = fill(journal, client, target, &mut progress).await;
            lease.release().await;
            filled?;
            continue;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let context = jetstream::new(client.clone());
    let stream = context.get_stream(STREAM).await.map_err(ExtentError::Ask)?;
    let agreement = compare(&stream, journal).await?;
    Ok(Refilled { agreement, by_the_relay })
}

async fn drop_stream(client: &Client) -> Result<(), RefillError> {
    match jetstream::new(client.clone()).delete_stream(STREAM).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            DeleteStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(()),
            _ => Err(error.into()),
        },
    }
}

/// Publishes as the relay until `target` is in the stream.
async fn fill(
    journal: &Journal,
    client: &Client,
    target: Position,
    progress: &mut impl FnMut(Position, Position),
) -> Result<(), RefillError> {
    let relay = Relay::new(journal.clone(), client.clone(), StreamOptions::default());
    let (mut status, stop) = (relay.status(), CancellationToken::new());
    let watching = async {
        loop {
            let now = status.borrow_and_update().clone();
            if let RelayState::Halted(halt) = now.state {
                return Err(RefillError::Halted(halt.to_string()));
            }
            progress(now.position, target);
            if now.position >= target {
                return Ok(());
            }
            if status.changed().await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        () = relay.publish(&stop) => {
            // It ends by itself only when it is halted, which the other branch would have said as well.
            let now = relay.status().borrow().state.clone();
            match now {
                RelayState::Halted(halt) => Err(RefillError::Halted(halt.to_string())),
                RelayState::Standby | RelayState::CatchingUp | RelayState::Live | RelayState::Disconnected => Ok(()),
            }
        }
        done = watching => done,
    }
}
