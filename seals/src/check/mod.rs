//! Checking the seals against the whole log, in bounded memory.

mod outside;

use std::collections::{BTreeMap, VecDeque};

use journal::Position;
use sqlx::PgConnection;

use self::outside::Outside;
use crate::{
    Checkpoint, Hash, SealError, VerifierKey,
    reader::Signed,
    rows,
    tile::{TILE_HEIGHT, TILE_WIDTH, TileId},
    tree::Tree,
};

/// Breaches that are told in full; the rest is counted.
pub const BREACHES_MAX: usize = 100;
/// Checkpoints in memory, at most.
const CHECKPOINTS_MAX: i64 = 4_096;
/// Tiles compared at once, at most: 4 MB of hashes, twice.
const TILES_MAX: usize = 512;

/// Something that is not as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What was looked at.
    pub what: String,
    /// The size of the tree in question, where it is about a tree.
    pub size: Option<u64>,
    /// The position in question, where it is about one event.
    pub position: Option<Position>,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealVerdict {
    /// Leaves that were hashed into the tree.
    pub leaves: u64,
    /// Of them, those that the newest stored checkpoint covers. The rest is not sealed yet.
    pub sealed: u64,
    /// Stored checkpoints, signature and root.
    pub checkpoints: u64,
    /// Checkpoints that were kept outside, likewise.
    pub outside: u64,
    /// Checkpoints that were published, compared with those stored.
    pub published: u64,
    /// The size of the tree in the checkpoint that the sealer keeps beside its key, where that was given.
    pub last_signed: Option<u64>,
    /// Stored tiles.
    pub tiles: u64,
    /// Public keys that signed.
    pub keys: usize,
    /// The root of the whole tree.
    pub root: Option<Hash>,
    /// What is not as it was sealed, at most [`BREACHES_MAX`].
    pub breaches: Vec<Breach>,
    /// How much that is in all.
    pub breaches_total: u64,
}

impl SealVerdict {
    /// Whether everything is as it was sealed.
    pub const fn is_sound(&self) -> bool {
        self.breaches_total == 0
    }

    fn breach(&mut self, breach: Breach) {
        self.breaches_total += 1;
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(breach);
        }
    }
}

/// Is given every leaf in order, and compares the tree with every checkpoint and every tile.
pub struct SealCheck {
    origin: String,
    keys: Vec<VerifierKey>,
    /// These, and what else is believed of what was published.
    believed: Vec<VerifierKey>,
    tree: Tree,
    /// Stored checkpoints that the tree has not come to, the next first.
    due: VecDeque<Signed>,
    /// The number of the last that was read.
    read_to: u64,
    /// The newest when the check began; what is signed later is left to the next check.
    newest: Option<Signed>,
    /// Checkpoints from outside the database that the tree has not come to.
    outside: Outside,
    /// The number of the last published one that was given.
    published_to: Option<u64>,
    /// Full tiles that are not compared yet.
    full: BTreeMap<TileId, Vec<Hash>>,
    verdict: SealVerdict,
}

impl SealCheck {
    /// Begins. Do so before the snapshot is taken that the leaves are read from (or in it): then no checkpoint covers more than
    /// is read. `connection` may be any other than that of the leaves.
    pub async fn begin(connection: &mut PgConnection) -> Result<Self, SealError> {
        let origin = rows::origin(connection).await?;
        let keys: Vec<_> = rows::known_keys(connection).await?.into_iter().map(|known| known.key).collect();
        let newest = rows::newest(connection).await?;
        let sealed = newest.as_ref().map_or(0, |newest| newest.size);
        let verdict = SealVerdict { keys: keys.len(), sealed, ..SealVerdict::default() };
        Ok(Self {
            origin,
            believed: keys.clone(),
            keys,
            tree: Tree::default(),
            due: VecDeque::new(),
            read_to: 0,
            newest,
            outside: Outside::default(),
            published_to: None,
            full: BTreeMap::new(),
            verdict,
        })
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The next leaves, in the order of their positions.
    pub async fn feed(&mut self, connection: &mut PgConnection, leaves: &[Hash]) -> Result<(), SealError> {
        let mut rest = leaves;
        loop {
            let next = self.compare_due(connection).await?;
            if rest.is_empty() {
                return Ok(());
            }
            // Up to the next size at which there is something to compare.
            let few = next.map_or(usize::MAX, |next| usize::try_from(next - self.tree.size()).unwrap_or(usize::MAX));
            let (now, later) = rest.split_at(few.min(rest.len()).min(TILES_MAX * TILE_WIDTH));
            for leaf in now {
                self.tree.push(*leaf, |id, hashes| {
                    self.full.insert(id, hashes);
                });
            }
            if self.full.len() >= TILES_MAX {
                let full = std::mem::take(&mut self.full);
                self.compare_tiles(connection, full).await?;
            }
            rest = later;
        }
    }

    /// The log has no more leaves.
    pub async fn finish(mut self, connection: &mut PgConnection) -> Result<SealVerdict, SealError> {
        let mut tiles = std::mem::take(&mut self.full);
        tiles.extend(self.tree.edge().map(|(id, hashes)| (id, hashes.to_vec())));
        self.compare_tiles(connection, tiles).await?;
        let leaves = self.tree.size();
        self.compare_due(connection).await?;
        self.outside_left();
        while let Some(signed) = self.due.pop_front() {
            self.verdict.checkpoints += 1;
            self.verdict.breach(Breach {
                what: format!("checkpoint {}", signed.number),
                size: Some(signed.size),
                position: None,
                expected: format!("a log of at least {} events", signed.size),
                found: format!("a log of {leaves}"),
            });
            self.compare_due(connection).await?;
        }
        self.verdict.leaves = leaves;
        self.verdict.root = Some(self.tree.root());
        Ok(self.verdict)
    }

    /// Compares the tree with all that was signed of just this size; says the next size that was.
    async fn compare_due(&mut self, connection: &mut PgConnection) -> Result<Option<u64>, SealError> {
        let size = self.tree.size();
        let mut root = None;
        self.compare_outside(&mut root);
        loop {
            if self.due.is_empty() {
                self.read(connection).await?;
            }
            let Some(signed) = self.due.pop_front_if(|signed| signed.size <= size) else { break };
            self.verdict.checkpoints += 1;
            let what = format!("checkpoint {}", signed.number);
            if signed.size < size {
                self.verdict.breach(Breach {
                    what,
                    size: Some(signed.size),
                    position: None,
                    expected: format!("a tree of at least {size}, as the one before had"),
                    found: format!("a tree of {}", signed.size),
                });
                continue;
            }
            let found = *root.get_or_insert_with(|| self.tree.root());
            if found != signed.root {
                self.verdict.breach(Breach {
                    what,
                    size: Some(size),
                    position: None,
                    expected: format!("the root {}", signed.root),
                    found: format!("the root {found}"),
                });
            }
        }
        let stored = self.due.front().map(|signed| signed.size);
        Ok(self.outside.next().into_iter().chain(stored).min())
    }

    /// Reads the next checkpoints, and checks their signatures.
    async fn read(&mut self, connection: &mut PgConnection) -> Result<(), SealError> {
        let last = self.newest.as_ref().map_or(0, |newest| newest.number);
        if self.read_to >= last {
            return Ok(());
        }
        let read = rows::checkpoints(connection, self.read_to, last, CHECKPOINTS_MAX).await?;
        if read.is_empty() {
            self.read_to = last;
        }
        for signed in read {
            if signed.number != self.read_to + 1 {
                self.verdict.breach(Breach {
                    what: format!("checkpoint {}", self.read_to + 1),
                    size: None,
                    position: None,
                    expected: "a signed checkpoint".to_owned(),
                    found: "nothing".to_owned(),
                });
            }
            self.read_to = signed.number;
            let expected = Checkpoint { origin: self.origin.clone(), size: signed.size, root: signed.root };
            let found = match Checkpoint::verify(&signed.note, &self.keys) {
                Ok(found) if found == expected => None,
                Ok(found) => Some(format!("a tree of {} with the root {} in the signed text", found.size, found.root)),
                Err(error) => Some(error.to_string()),
            };
            if let Some(found) = found {
                self.verdict.breach(Breach {
                    what: format!("checkpoint {}", signed.number),
                    size: Some(signed.size),
                    position: None,
                    expected: format!("a signature over a tree of {} with the root {}", signed.size, signed.root),
                    found,
                });
            }
            self.due.push_back(signed);
        }
        Ok(())
    }

    /// Compares tiles of the tree with what is stored of them, as far as they are sealed.
    async fn compare_tiles(
        &mut self,
        connection: &mut PgConnection,
        tiles: BTreeMap<TileId, Vec<Hash>>,
    ) -> Result<(), SealError> {
        let sealed = self.verdict.sealed;
        let width = |id: &TileId| {
            let hashes = sealed >> (TILE_HEIGHT * u32::from(id.level));
            let of_tile = hashes.saturating_sub(id.index * TILE_WIDTH as u64).min(TILE_WIDTH as u64);
            usize::try_from(of_tile).unwrap_or_default()
        };
        let sealed: Vec<(TileId, Vec<Hash>)> = tiles
            .into_iter()
            .map(|(id, mut hashes)| {
                hashes.truncate(width(&id));
                (id, hashes)
            })
            .filter(|(_, hashes)| !hashes.is_empty())
            .collect();
        let mut stored = rows::tiles(connection, sealed.iter().map(|(id, _)| *id)).await?;
        for (id, expected) in sealed {
            self.verdict.tiles += 1;
            let stored = stored.remove(&id).unwrap_or_default();
            self.compare_tile(id, &expected, &stored);
        }
        Ok(())
    }

    fn compare_tile(&mut self, id: TileId, computed: &[Hash], stored: &[Hash]) {
        let what = format!("tile {} of level {}", id.index, id.level);
        if stored.len() < computed.len() {
            self.verdict.breach(Breach {
                what: what.clone(),
                size: None,
                position: None,
                expected: format!("{} hashes", computed.len()),
                found: format!("{}", stored.len()),
            });
        }
        for (nth, (computed, stored)) in computed.iter().zip(stored).enumerate() {
            if computed == stored {
                continue;
            }
            let position = id.index * TILE_WIDTH as u64 + nth as u64 + 1;
            self.verdict.breach(Breach {
                what: if id.level == 0 { "the event".to_owned() } else { format!("hash {nth} of {what}") },
                size: None,
                position: (id.level == 0).then_some(Position(position)),
                expected: format!("the hash {stored}, which was sealed"),
                found: format!("the hash {computed}"),
            });
        }
    }
}
