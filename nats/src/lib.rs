//! The mirror: the journal's log, distributed by NATS JetStream.
//!
//! The [`Relay`] alone writes the stream [`STREAM`], so that message N is row N in Postgres; [`MirrorSource`] follows it
//! and reads Postgres wherever the stream cannot serve. Nothing here is a truth of its own: a lost stream is refilled.

mod agreement;
mod checkpoints;
mod connect;
mod consumer;
mod envelope;
mod extent;
mod lost;
mod published;
mod refill;
mod relay;
mod scan;
mod stream;

pub use async_nats::{Client, jetstream::Message};

pub use agreement::{Agreement, AgreementError, Divergence, compare};
pub use checkpoints::{CHECKPOINTS_STREAM, CHECKPOINTS_SUBJECT, Checkpoints, CheckpointsError};
pub use connect::{
    ConnectError, Support, VERSION_REFUSED_BELOW, VERSION_WARNED_BELOW, check_url, connect, is_connected, support,
};
pub use consumer::{Feed, MirrorSource, StreamSource};
pub use envelope::{EnvelopeError, Outgoing, Received, from_message, subject, to_message};
pub use extent::{ExtentError, mirrored_position};
pub use lost::{LostError, Parting, parting, read_lost};
pub use published::CheckpointScan;
pub use refill::{RefillError, Refilled, refill};
pub use relay::{Halt, IN_FLIGHT_MAX, LEASE, Relay, RelayState, RelayStatus};
pub use scan::{ScanError, Scanned, StreamScan};
pub use stream::{MAX_BYTES_DEFAULT, STREAM, SUBJECTS, StreamError, StreamOptions, ensure_stream};
