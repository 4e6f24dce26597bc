//! The published checkpoints from the first to the last, for whoever compares them with what the database says.

use async_nats::Client;

use crate::{CHECKPOINTS_STREAM, ScanError, StreamScan};

/// The checkpoints that were published when it was opened, in order; the rights of a reader are enough.
pub struct CheckpointScan {
    messages: StreamScan,
    /// Number of the first that the stream still holds; one more than `last` where it holds none.
    pub first: u64,
    /// Number of the last that was published, whether or not it is still there; 0 where none was.
    pub last: u64,
}

impl CheckpointScan {
    /// Begins at the first; `None` where there is no such stream.
    pub async fn open(client: Client) -> Result<Option<Self>, ScanError> {
        let scan = StreamScan::of(client, CHECKPOINTS_STREAM).await?;
        Ok(scan.map(|messages| {
            let last = messages.last.0;
            let first = if messages.count == 0 { last + 1 } else { messages.first.0 };
            Self { messages, first, last }
        }))
    }

    /// The next one's number and text; `None` once all were handed out.
    pub async fn next(&mut self) -> Result<Option<(u64, String)>, ScanError> {
        let scanned = self.messages.next().await?;
        Ok(scanned.map(|scanned| (scanned.sequence, String::from_utf8_lossy(scanned.payload()).into_owned())))
    }
}
