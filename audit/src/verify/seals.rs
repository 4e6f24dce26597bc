//! The seals: the log has the hashes that were signed, up to the newest checkpoint, and up to those that were kept outside,
//! published, or left by the sealer beside its key.
//!
//! Leaves are hashed where the row is at hand. The tree, and Postgres, are the business of a thread of their own.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use journal::Position;
use seals::{Hash, LeafHasher, SealCheck, SealError, SealVerdict, VerifierKey};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel},
    task::{JoinHandle, spawn_blocking},
};

use super::{Breach, Check, LogCheck, Recorder, Verdict, last_signed::LastSigned, published::Published};
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

/// Bytes that are read of a file that holds a checkpoint, at most. It has a few lines.
const NOTE_BYTES_MAX: u64 = 64 * 1024;

impl Kept {
    /// The one in `file`, called by that name.
    pub fn read(file: &Path) -> io::Result<Self> {
        let mut note = String::new();
        File::open(file)?.take(NOTE_BYTES_MAX).read_to_string(&mut note)?;
        Ok(Self { name: file.display().to_string(), note })
    }
}

/// What the seals are held against, beside the log: all of it is kept outside the database.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Checkpoints that somebody kept. They must be signed by one of `trusted`; where that is empty, by a key that the database
    /// names.
    pub kept: Vec<Kept>,
    /// Keys that are believed whatever the database says.
    pub trusted: Vec<VerifierKey>,
    /// The file in which the sealer keeps what it signed last; `None`: it is not known where.
    pub last_signed: Option<PathBuf>,
    /// Where checkpoints are published; `None`: that is not to be looked at.
    pub nats_url: Option<String>,
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
    /// There are none, whatever others have.
    None(Beside),
    /// Nobody could look.
    Unseen(SealError),
}

/// The verdict, whose the events are that it names, and what became of what was published.
struct Found {
    verdict: SealVerdict,
    named: Vec<(i64, String)>,
    published: Published,
    last_signed: LastSigned,
}

/// What there is beside a database without seals.
struct Beside {
    kept: Vec<Kept>,
    published: Published,
    last_signed: LastSigned,
}

impl Seals {
    /// Begins. To be done before [`super::verify`] takes its snapshot, so that no checkpoint is beyond it.
    pub async fn begin(database: &PgConnectOptions, evidence: Evidence) -> Result<Self, Error> {
        let Evidence { kept, trusted, last_signed, nats_url } = evidence;
        // What is outside is looked at before the database, so that it cannot be ahead of that.
        let last_signed = LastSigned::read(last_signed).await?;
        let published = Box::pin(Published::open(nats_url.as_deref())).await;
        let mut connection = PgConnection::connect_with(database).await.map_err(Error::Connect)?;
        let runtime = Handle::current();
        let state = match SealCheck::begin(&mut connection).await {
            Ok(mut check) => {
                check.believe(&trusted);
                for Kept { name, note } in &kept {
                    check.also(name, note, &trusted);
                }
                if let LastSigned::There(Kept { name, note }) = &last_signed {
                    check.also_last_signed(name, note);
                }
                let (to_tree, leaves) = channel(PORTIONS_WAITING_MAX);
                let of_tree = runtime.clone();
                let tree = spawn_blocking(move || grow(leaves, check, connection, published, last_signed, &of_tree));
                State::Checking { to_tree: Some(to_tree), tree }
            }
            Err(SealError::NoSeals) => State::None(Beside { kept, published, last_signed }),
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
    mut published: Published,
    last_signed: LastSigned,
    runtime: &Handle,
) -> Result<Found, SealError> {
    runtime.block_on(published.compare(&mut check, &mut connection))?;
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
        Ok(Found { verdict, named, published, last_signed })
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
            State::None(beside) => runtime.block_on(beside.tell(recorder)),
            State::Unseen(error) => recorder.not_checked(Check::Seals, Verdict::Unseen(error.to_string())),
        }
    }
}

impl Beside {
    /// A database without seals is one that never had any, unless somebody has some of its.
    async fn tell(mut self, recorder: &mut Recorder<'_>) {
        let none = "one without any seals: they were removed, or it is another database";
        let mut breach = |subject: String| {
            recorder.breach(Check::Seals, Breach::at(None, subject, "a log that was sealed", none));
        };
        let mut is_known = false;
        if let Some((number, size)) = self.published.last().await {
            let over = size.map_or_else(String::new, |size| format!(", over {size} events"));
            breach(format!("published checkpoint {number}{over}"));
            is_known = true;
        }
        if let LastSigned::There(Kept { name, .. }) = &self.last_signed {
            breach(format!("the sealer's last checkpoint, in {name}"));
            is_known = true;
        }
        for Kept { name, .. } in &self.kept {
            breach(format!("the checkpoint in {name}"));
            is_known = true;
        }
        if !is_known {
            recorder.not_checked(Check::Seals, Verdict::Skipped("this database holds none".to_owned()));
        }
        self.published.tell(0, 0, recorder);
        self.last_signed.tell(recorder);
    }
}

fn tell(Found { verdict, named, published, last_signed }: &Found, recorder: &mut Recorder<'_>) {
    let SealVerdict { checkpoints, outside, tiles, .. } = verdict;
    let last = u64::from(verdict.last_signed.is_some());
    recorder.count(Check::Seals, checkpoints + outside + tiles + verdict.published + last);
    let kept = if *outside > 0 { format!(", {outside} kept outside") } else { String::new() };
    recorder.note(Check::Seals, format!("checkpoints: {checkpoints}{kept}; tiles of hashes: {tiles}"));
    published.tell(verdict.published, *checkpoints, recorder);
    last_signed.tell(recorder);
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
