//! The checkpoints as they were published in JetStream: outside the database, so that who rewrote that did not rewrite them.

use nats::{CHECKPOINTS_STREAM, CheckpointScan, ScanError};
use seals::{Checkpoint, SealCheck, SealError};
use sqlx::PgConnection;
use tokio::time::{Instant, timeout_at};

use super::{
    Check, Recorder, Verdict,
    verification::{NATS_NAME, NATS_WAIT_MAX},
};

/// Notes that are compared at once.
const NOTES: usize = 1_024;

/// What there is of them.
pub(super) enum Published {
    /// They are not to be looked at.
    LeftOut,
    /// NATS cannot be reached.
    Away(String),
    /// There is no such stream.
    Absent,
    /// NATS answers, but not to this.
    Refused(String),
    /// These.
    There { scan: Box<CheckpointScan>, first: u64, last: u64, failed: Option<ScanError> },
}

impl Published {
    /// Looks where they begin and end.
    pub async fn open(nats_url: Option<&str>) -> Self {
        let Some(url) = nats_url else { return Self::LeftOut };
        let until = Instant::now() + NATS_WAIT_MAX;
        let late = || format!("NATS does not answer within {NATS_WAIT_MAX:?}");
        let client = match timeout_at(until, nats::connect(url, NATS_NAME)).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Self::Away(error.to_string()),
            Err(_) => return Self::Away(late()),
        };
        let opening = timeout_at(until, CheckpointScan::open(client.clone())).await;
        match opening.map_err(|_| late()).and_then(|opened| opened.map_err(|error| error.to_string())) {
            Ok(Some(scan)) => Self::There { first: scan.first, last: scan.last, scan: Box::new(scan), failed: None },
            Ok(None) => Self::Absent,
            // A login that may read the mirror and not these would otherwise pass as if they had been compared.
            Err(why) if nats::is_connected(&client) => Self::Refused(why),
            Err(why) => Self::Away(why),
        }
    }

    /// Hands them to the check, before the first leaf.
    pub async fn compare(&mut self, check: &mut SealCheck, connection: &mut PgConnection) -> Result<(), SealError> {
        let Self::There { scan, last, failed, .. } = self else { return Ok(()) };
        let mut notes = Vec::with_capacity(NOTES);
        loop {
            let next = scan.next().await;
            let is_last = !matches!(next, Ok(Some(_)));
            match next {
                Ok(Some(note)) => notes.push(note),
                Ok(None) => {}
                Err(error) => *failed = Some(error),
            }
            if is_last || notes.len() == NOTES {
                check.also_published(connection, &notes).await?;
                notes.clear();
            }
            if is_last {
                break;
            }
        }
        if failed.is_none() {
            check.published_end(*last);
        }
        Ok(())
    }

    /// The number of the last one, and the size of its tree where that can be read.
    pub async fn last(&mut self) -> Option<(u64, Option<u64>)> {
        let Self::There { scan, last, failed, .. } = self else { return None };
        let mut newest = None;
        loop {
            match scan.next().await {
                Ok(Some(note)) => newest = Some(note),
                Ok(None) => break,
                Err(error) => {
                    *failed = Some(error);
                    break;
                }
            }
        }
        let size = newest.and_then(|(_, note)| Checkpoint::read_unverified(&note).ok()).map(|read| read.size);
        (*last > 0).then_some((*last, size))
    }

    /// Says what was compared, and what could not be: `compared` of `signed` that the database has.
    pub fn tell(&self, compared: u64, signed: u64, recorder: &mut Recorder<'_>) {
        let told = match self {
            Self::LeftOut => "published: not compared, as the mirror is left out".to_owned(),
            Self::Away(why) | Self::Refused(why) => format!("published: not compared: {why}"),
            // Whoever may write to NATS may also remove it; what was kept elsewhere is not theirs to remove.
            Self::Absent => format!("published: none of {signed}, there is no stream {CHECKPOINTS_STREAM}"),
            Self::There { last: 0, .. } => format!("published: none yet of {signed}"),
            Self::There { first, last, .. } if first > last => format!("published: none is left of {last}"),
            Self::There { first, last, .. } => {
                format!("published: {compared} compared, of numbers {first} to {last}; {signed} are signed")
            }
        };
        recorder.note(Check::Seals, told);
        let unread = match self {
            Self::Refused(why) | Self::Away(why) => Some(why.clone()),
            Self::There { failed: Some(error), .. } => Some(error.to_string()),
            Self::LeftOut | Self::Absent | Self::There { failed: None, .. } => None,
        };
        if let Some(why) = unread {
            let why = format!("the published checkpoints cannot be read: {why}");
            recorder.not_checked(Check::Seals, Verdict::Unseen(why));
        }
    }
}
