//! The seals: the log has the hashes that were signed, up to the newest checkpoint, and up to those that were kept outside.
//!
//! Leaves are hashed where the row is at hand. The tree, and Postgres, are the business of a thread of their own.

use journal::Position;
use seals::{Hash, LeafHasher, SealCheck, SealError, SealVerdict, VerifierKey};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel},
    task::{JoinHandle, spawn_blocking},
};

use super::{Breach, Check, LogCheck, Recorder, Verdict};
use crate::{Error, Row};

/// Hashes that go to the tree at once.
const LEAVES: usize = 4_096;
/// Portions of them that wait for it, at most.
const PORTIONS_WAITING_MAX: usize = 8;

/// A checkpoint that was kept outside.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it is called in what is said of it: its file.
    pub name: String,
    /// The signed note.
    pub note: String,
}

/// Checks the seals of a log while that is read.
pub struct Seals {
    hasher: LeafHasher,
    leaves: Vec<Hash>,
    runtime: Handle,
    state: State,
}

enum State {
    /// There are some.
    Checking {
        /// `None` once the tree takes no more; why is its result.
        to_tree: Option<Sender<Vec<Hash>>>,
        tree: JoinHandle<Result<Found, SealError>>,
    },
    /// There are none, though so many checkpoints were kept.
    None(Vec<Kept>),
    /// Nobody could look.
    Unseen(SealError),
}

/// The verdict, and whose the events are that it names.
struct Found {
    verdict: SealVerdict,
    named: Vec<(i64, String)>,
}

impl Seals {
    /// Begins. To be done before [`super::verify`] takes its snapshot, so that no checkpoint is beyond it. The checkpoints in
    /// `kept` must be signed by one of `trusted`; where that is empty, by a key that the database names.
    pub async fn begin(database: &PgConnectOptions, kept: Vec<Kept>, trusted: &[VerifierKey]) -> Result<Self, Error> {
        let mut connection = PgConnection::connect_with(database).await.map_err(Error::Connect)?;
        let runtime = Handle::current();
        let state = match SealCheck::begin(&mut connection).await {
            Ok(mut check) => {
                for Kept { name, note } in &kept {
                    check.also(name, note, trusted);
                }
                let (to_tree, leaves) = channel(PORTIONS_WAITING_MAX);
                let of_tree = runtime.clone();
                let tree = spawn_blocking(move || grow(leaves, check, connection, &of_tree));
                State::Checking { to_tree: Some(to_tree), tree }
            }
            Err(SealError::NoSeals) => State::None(kept),
            Err(error) => State::Unseen(error),
        };
        Ok(Self { hasher: LeafHasher::default(), leaves: Vec::with_capacity(LEAVES), runtime, state })
    }

    fn pass_on(&mut self) {
        let State::Checking { to_tree, .. } = &mut self.state else { return };
        let leaves = std::mem::replace(&mut self.leaves, Vec::with_capacity(LEAVES));
        if to_tree.as_ref().is_some_and(|sender| sender.blocking_send(leaves).is_err()) {
            *to_tree = None;
        }
    }
}

fn grow(
    mut leaves: Receiver<Vec<Hash>>,
    mut check: SealCheck,
    mut connection: PgConnection,
    runtime: &Handle,
) -> Result<Found, SealError> {
    while let Some(leaves) = leaves.blocking_recv() {
        runtime.block_on(check.feed(&mut connection, &leaves))?;
    }
    runtime.block_on(async {
        let verdict = check.finish(&mut connection).await?;
        let positions: Vec<i64> =
            verdict.breaches.iter().filter_map(|breach| breach.position).map(Position::to_sql).collect();
        let named = if positions.is_empty() {
            Vec::new()
        } else {
            sqlx::query_as(
                "SELECT position, aggregate_type || ' ' || aggregate_id FROM events WHERE position = ANY($1)",
            )
            .bind(positions)
            .fetch_all(&mut connection)
            .await?
        };
        Ok(Found { verdict, named })
    })
}

impl LogCheck for Seals {
    fn row(&mut self, row: &Row<'_>) {
        let State::Checking { to_tree: Some(_), .. } = self.state else { return };
        self.leaves.push(self.hasher.hash(&seals::Row {
            position: row.position,
            recorded_at_micros: row.recorded_micros,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            sequence: row.sequence,
            event_type: row.event_type,
            event_version: row.event_version,
            payload: row.payload,
            metadata: row.metadata,
        }));
        if self.leaves.len() == LEAVES {
            self.pass_on();
        }
    }

    fn finish(mut self: Box<Self>, recorder: &mut Recorder<'_>) {
        self.pass_on();
        let Self { runtime, state, .. } = *self;
        match state {
            State::Checking { to_tree, tree } => {
                drop(to_tree);
                match runtime.block_on(tree) {
                    Ok(Ok(found)) => tell(&found, recorder),
                    Ok(Err(error)) => recorder.not_checked(Check::Seals, Verdict::Unseen(error.to_string())),
                    Err(_) => recorder.not_checked(Check::Seals, Verdict::Unseen(Error::Ended.to_string())),
                }
            }
            State::None(kept) if kept.is_empty() => {
                recorder.not_checked(Check::Seals, Verdict::Skipped("this database holds none".to_owned()));
            }
            State::None(kept) => {
                for Kept { name, .. } in kept {
                    let subject = format!("the checkpoint in {name}");
                    let breach = Breach::at(None, subject, "a log that was sealed", "one without any seals");
                    recorder.breach(Check::Seals, breach);
                }
            }
            State::Unseen(error) => recorder.not_checked(Check::Seals, Verdict::Unseen(error.to_string())),
        }
    }
}

fn tell(Found { verdict, named }: &Found, recorder: &mut Recorder<'_>) {
    recorder.count(Check::Seals, verdict.checkpoints + verdict.outside + verdict.tiles);
    let SealVerdict { checkpoints, outside, tiles, .. } = verdict;
    let kept = if *outside > 0 { format!(", {outside} kept outside") } else { String::new() };
    recorder.note(Check::Seals, format!("checkpoints: {checkpoints}{kept}; tiles of hashes: {tiles}"));
    let unsealed = verdict.leaves.saturating_sub(verdict.sealed);
    if unsealed > 0 {
        recorder.note(Check::Seals, format!("{unsealed} of {} events are not sealed yet", verdict.leaves));
    }
    for breach in &verdict.breaches {
        let name = breach.position.and_then(|position| named.iter().find(|(at, _)| *at == position.to_sql()));
        let subject = match (name, breach.size) {
            (Some((_, name)), _) => name.clone(),
            (None, Some(size)) => format!("{}, over {size} events", breach.what),
            (None, None) => breach.what.clone(),
        };
        let position = breach.position.or(breach.size.map(Position));
        recorder.breach(Check::Seals, Breach::at(position, subject, &breach.expected, &breach.found));
    }
    recorder.more_breaches(Check::Seals, verdict.breaches_total - verdict.breaches.len() as u64);
}
