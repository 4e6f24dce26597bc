//! One session: from what is stored, for as long as nothing fails.

use std::time::Duration;

use chrono::{Timelike as _, Utc};
use journal::{Follower, Position, READ_EVENTS_MAX, ReadError, RecordedEvent, last_position, read_after};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{CHECKPOINT, SealState, Sealer};
use crate::{
    Checkpoint, LeafHasher, SealError, VerifierKey,
    reader::{Signed, stored_tree},
    rows,
    tile::TileId,
    tree::{Grown, Tree},
};

/// How long what is appended may gather before it is hashed: one waking for many events costs less than many.
const GATHER: Duration = Duration::from_millis(250);
/// Leaves that are hashed and not yet stored, at most; then a checkpoint is signed at once. 2 MB of hashes.
const PENDING_LEAVES_MAX: u64 = 65_536;

pub(super) struct Session<'a> {
    sealer: &'a mut Sealer,
    follower: Follower,
    tree: Tree,
    /// Full tiles that are not stored yet.
    grown: Grown,
    hasher: LeafHasher,
    last: Option<Signed>,
}

impl<'a> Session<'a> {
    /// Takes up the stored tree, and checks that it is what was signed and that the log still fits it.
    pub async fn open(sealer: &'a mut Sealer) -> Result<Self, SealError> {
        let pool = sealer.log.pool().clone();
        journal::checkpoint(&pool, CHECKPOINT).await?;
        let mut connection = pool.acquire().await?;
        let last = rows::newest(&mut connection).await?;
        let size = last.as_ref().map_or(0, |last| last.size);
        if let Some(last) = &last {
            let known: Vec<_> = rows::known_keys(&mut connection).await?.into_iter().map(|known| known.key).collect();
            check_note(last, &known, sealer.log.origin())?;
        }
        let tree = stored_tree(&mut connection, size).await?;
        if let Some(last) = last.as_ref().filter(|last| last.root != tree.root()) {
            return Err(SealError::OtherRoot { size, expected: last.root, found: tree.root() });
        }
        let head = last_position(&pool).await?;
        if head.0 < size {
            return Err(SealError::Shorter { head, signed: size });
        }
        drop(connection);
        check_end(&sealer.log, &tree).await?;
        sealer.memory.check(&sealer.log, size, &sealer.keys).await?;
        let follower = sealer.journal.follow(Position(size));
        Ok(Self { sealer, follower, tree, grown: Grown::default(), hasher: LeafHasher::default(), last })
    }

    /// Goes on until something fails, which is the answer.
    pub async fn run(mut self) -> SealError {
        match self.go_on().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn go_on(&mut self) -> Result<std::convert::Infallible, SealError> {
        self.tell();
        self.read_keys();
        if !self.is_signed_by_all() {
            self.sign().await?;
        }
        let mut due = Instant::now();
        loop {
            if self.pending() == 0 {
                self.gather().await?;
            } else if let Ok(gathered) = timeout_at(due, self.gather()).await {
                gathered?;
            }
            let is_due = Instant::now() >= due && self.pending() > 0;
            if is_due || self.pending() >= PENDING_LEAVES_MAX {
                self.read_keys();
                self.sign().await?;
                due = Instant::now() + self.sealer.interval;
            }
        }
    }

    /// Seals up to `head`, which the log must have come to.
    pub async fn seal_up_to(mut self, head: Position) -> Result<(), SealError> {
        self.read_keys();
        while self.tree.size() < head.0 {
            let events = self.follower.next(READ_EVENTS_MAX).await?;
            self.grow(events.iter().map(AsRef::as_ref));
            if self.pending() >= PENDING_LEAVES_MAX {
                self.sign().await?;
            }
        }
        if self.pending() > 0 {
            return self.sign().await;
        }
        // It may have been told to stop between storing the last one and remembering it.
        if let Some(last) = &self.last {
            self.sealer.memory.keep(last).await;
        }
        Ok(())
    }

    fn pending(&self) -> u64 {
        self.tree.size() - self.last.as_ref().map_or(0, |last| last.size)
    }

    /// Waits for events, and hashes them and what follows soon after. Cancelling loses nothing.
    async fn gather(&mut self) -> Result<(), SealError> {
        let mut events = self.follower.next(READ_EVENTS_MAX).await?;
        let mut gathered = false;
        loop {
            let is_all = events.len() < READ_EVENTS_MAX;
            self.grow(events.iter().map(AsRef::as_ref));
            if self.pending() >= PENDING_LEAVES_MAX || (is_all && gathered) {
                return Ok(());
            }
            if is_all {
                sleep(GATHER).await;
                gathered = true;
            }
            match timeout(GATHER, self.follower.next(READ_EVENTS_MAX)).await {
                Ok(more) => events = more?,
                Err(_) => return Ok(()),
            }
        }
    }

    fn grow<'e>(&mut self, events: impl Iterator<Item = &'e RecordedEvent>) {
        for event in events {
            self.grown.push(&mut self.tree, self.hasher.hash_event(event));
        }
    }

    /// Signs the tree as it is and stores it, all in one transaction.
    async fn sign(&mut self) -> Result<(), SealError> {
        let sealer = &self.sealer;
        let (size, root) = (self.tree.size(), self.tree.root());
        let wrong = |source| SealError::Checkpoint { what: "what is to be signed".to_owned(), source };
        let note =
            Checkpoint { origin: sealer.log.origin().to_owned(), size, root }.sign(&sealer.keys).map_err(wrong)?;
        let now = Utc::now();
        let signed = Signed {
            number: self.last.as_ref().map_or(1, |last| last.number + 1),
            size,
            root,
            note,
            // As precise as Postgres keeps it.
            signed_at: now.with_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now),
        };
        let mut tiles = std::mem::take(&mut self.grown.0);
        tiles.extend(self.tree.edge().map(|(id, hashes)| (id, hashes.to_vec())));
        let tiles = newest_of_each(tiles);
        let verifiers: Vec<_> = sealer.keys.iter().map(|key| key.verifier().clone()).collect();
        rows::commit(sealer.log.pool(), self.last.as_ref(), &signed, &tiles, &verifiers).await?;
        sealer.memory.keep(&signed).await;
        metrics::counter!("seals_checkpoints_total").increment(1);
        self.last = Some(signed);
        self.tell();
        Ok(())
    }

    /// Says how far it is.
    fn tell(&self) {
        let size = self.last.as_ref().map_or(0, |last| last.size);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of more than 2^53 events may be off by one")]
        metrics::gauge!("seals_position").set(size as f64);
        self.sealer.board.send_modify(|status| {
            status.state = SealState::Sealing;
            status.size = size;
        });
    }

    /// Looks whether the keys were changed. A file that cannot be read now changes nothing.
    fn read_keys(&mut self) {
        let Sealer { key_file, log, keys, .. } = &mut *self.sealer;
        let found = match key_file.read() {
            Ok(found) if found.is_empty() => {
                tracing::error!(file = %key_file.path().display(), "the file of the seal keys is gone; signing with those of before");
                return;
            }
            Ok(found) if found.iter().any(|key| key.verifier().origin() != log.origin()) => {
                tracing::error!(file = %key_file.path().display(), "the seal keys are of another log; signing with those of before");
                return;
            }
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "signing with the seal keys of before");
                return;
            }
        };
        let same = found.iter().map(crate::SigningKey::verifier).eq(keys.iter().map(crate::SigningKey::verifier));
        if !same {
            let now: Vec<_> = found.iter().map(|key| key.verifier().to_string()).collect();
            tracing::warn!(?now, "checkpoints are signed with other keys from now on");
            *keys = found;
        }
    }

    /// Whether the newest checkpoint has the signature of each key.
    fn is_signed_by_all(&self) -> bool {
        let Some(last) = &self.last else { return false };
        let signed = |key: &crate::SigningKey| Checkpoint::verify(&last.note, &[key.verifier().clone()]).is_ok();
        self.sealer.keys.iter().all(signed)
    }
}

/// A tile can become full by the same batch that it grew in; a statement may name it once.
fn newest_of_each(tiles: Vec<(TileId, Vec<crate::Hash>)>) -> Vec<(TileId, Vec<crate::Hash>)> {
    let newest: std::collections::BTreeMap<_, _> = tiles.into_iter().collect();
    newest.into_iter().collect()
}

/// The newest checkpoint must be one that we signed, and say what its columns say.
fn check_note(last: &Signed, known: &[VerifierKey], origin: &str) -> Result<(), SealError> {
    let what = || format!("checkpoint {} of a tree of {}", last.number, last.size);
    let checkpoint =
        Checkpoint::verify(&last.note, known).map_err(|source| SealError::Checkpoint { what: what(), source })?;
    let expected = Checkpoint { origin: origin.to_owned(), size: last.size, root: last.root };
    if checkpoint == expected {
        return Ok(());
    }
    let source = crate::NoteError::NotACheckpoint("it says something else than its columns");
    Err(SealError::Checkpoint { what: what(), source })
}

/// The last rows that are sealed, those of the tile at the end of the tree, must still be what they were.
async fn check_end(log: &crate::Log, tree: &Tree) -> Result<(), SealError> {
    let Some((id, hashes)) = tree.edge().find(|(id, _)| id.level == 0) else { return Ok(()) };
    let first = id.index * crate::TILE_WIDTH as u64;
    let rows = read_after(log.pool(), Position(first), hashes.len()).await?;
    let mut leaf = LeafHasher::default();
    for (nth, expected) in hashes.iter().enumerate() {
        let position = Position(first + nth as u64 + 1);
        let row = rows.get(nth).filter(|row| row.position == position).ok_or(ReadError::Missing(position))?;
        let found = leaf.hash_event(row);
        if found != *expected {
            return Err(SealError::OtherRow { position, expected: *expected, found });
        }
    }
    Ok(())
}
