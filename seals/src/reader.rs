//! The sealed log as others see it: checkpoints, tiles, and proofs made of tiles.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use chrono::{DateTime, Utc};
use journal::Position;
use sqlx::{PgConnection, PgPool};

use crate::{
    Checkpoint, Hash, KnownKey, Nodes, SealError, consistency_proof, inclusion_proof, rows,
    tile::{TILE_HEIGHT, TILE_WIDTH, TileId},
    tree::{Tree, perfect},
    verify_consistency,
};

/// A checkpoint as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// 1, 2, 3 …, without a gap; also its sequence in the stream of checkpoints.
    pub number: u64,
    /// How many events are in the tree: the positions 1 to this.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// The signed note, which says the same.
    pub note: String,
    /// When it was signed, by the clock of the sealer.
    pub signed_at: DateTime<Utc>,
}

/// The sealed log in one database; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Log {
    pool: PgPool,
    origin: String,
}

impl Log {
    /// The log sealed in `pool`, whose tables must be there.
    pub async fn open(pool: PgPool) -> Result<Self, SealError> {
        let origin = rows::origin(&mut *pool.acquire().await?).await?;
        Ok(Self { pool, origin })
    }

    pub(crate) const fn new(pool: PgPool, origin: String) -> Self {
        Self { pool, origin }
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The database.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The newest checkpoint; `None` until the first is signed.
    pub async fn newest(&self) -> Result<Option<Signed>, SealError> {
        rows::newest(&mut *self.pool.acquire().await?).await
    }

    /// The checkpoints after number `after`, at most `max`.
    pub async fn checkpoints_after(&self, after: u64, max: u16) -> Result<Vec<Signed>, SealError> {
        rows::checkpoints(&mut *self.pool.acquire().await?, after, u64::MAX >> 1, i64::from(max)).await
    }

    /// The public keys that ever signed, oldest first.
    pub async fn keys(&self) -> Result<Vec<KnownKey>, SealError> {
        rows::known_keys(&mut *self.pool.acquire().await?).await
    }

    /// The hashes of a tile that are stored, 256 where it is full; `None` where there is no such tile.
    pub async fn tile(&self, id: TileId) -> Result<Option<Vec<Hash>>, SealError> {
        let mut tiles = rows::tiles(&mut *self.pool.acquire().await?, std::iter::once(id)).await?;
        Ok(tiles.remove(&id))
    }

    /// The root of the tree of the first `size` events, by the stored tiles.
    pub async fn root_at(&self, size: u64) -> Result<Hash, SealError> {
        Ok(stored_tree(&mut *self.pool.acquire().await?, size).await?.root())
    }

    /// For each of these leaves, from 0, the proof that it is in the tree of the first `size` events.
    pub async fn inclusion(&self, leaves: &[u64], size: u64) -> Result<Vec<Vec<Hash>>, SealError> {
        if let Some(beyond) = leaves.iter().find(|leaf| **leaf >= size) {
            return Err(SealError::NotSealed { sealed: size, wanted: beyond + 1 });
        }
        let wanted = Wanted::default();
        for leaf in leaves {
            let Ok(_) = inclusion_proof(&wanted, *leaf, size);
        }
        let tiles = self.load(wanted).await?;
        leaves.iter().map(|leaf| inclusion_proof(&tiles, *leaf, size)).collect()
    }

    /// The proof that the tree of the first `old` events is the beginning of that of the first `new`.
    pub async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, SealError> {
        if old > new {
            return Err(SealError::NotSealed { sealed: new, wanted: old });
        }
        let wanted = Wanted::default();
        let Ok(_) = consistency_proof(&wanted, old, new);
        consistency_proof(&self.load(wanted).await?, old, new)
    }

    /// Whether the newest checkpoint goes on from one that was kept, by the stored tiles. That the rows are what was sealed is
    /// another question, which [`crate::SealCheck`] answers.
    pub async fn goes_on_from(&self, kept: &Checkpoint) -> Result<(), SealError> {
        let (size, root) = self.newest().await?.map_or((0, Hash::of_nothing()), |newest| (newest.size, newest.root));
        if kept.size > size {
            return Err(SealError::Shorter { head: Position(size), signed: kept.size });
        }
        let proof = self.consistency(kept.size, size).await?;
        if verify_consistency((kept.size, &kept.root), (size, &root), &proof).is_ok() {
            return Ok(());
        }
        let found = self.root_at(kept.size).await?;
        Err(SealError::OtherRoot { size: kept.size, expected: kept.root, found })
    }

    async fn load(&self, wanted: Wanted) -> Result<Tiles, SealError> {
        let ids = wanted.0.into_inner();
        Ok(Tiles(rows::tiles(&mut *self.pool.acquire().await?, ids.into_iter()).await?))
    }
}

/// The tree of the first `size` events, by the stored tiles.
pub(crate) async fn stored_tree(connection: &mut PgConnection, size: u64) -> Result<Tree, SealError> {
    let edge: Vec<_> = Tree::edge_of(size).filter(|(_, width)| *width > 0).collect();
    let mut tiles = rows::tiles(connection, edge.iter().map(|(id, _)| *id)).await?;
    let mut missing = None;
    let restored = Tree::restore(size, |id, width| {
        let hashes = tiles.remove(&id).filter(|hashes| hashes.len() >= width);
        if hashes.is_none() {
            missing.get_or_insert(id);
        }
        hashes
    });
    restored.ok_or(SealError::NoTile { id: missing.unwrap_or(TileId { level: 0, index: 0 }) })
}

/// Tiles that were read.
struct Tiles(BTreeMap<TileId, Vec<Hash>>);

/// Takes note of the tiles that a proof is made of, before they are read.
#[derive(Default)]
struct Wanted(RefCell<BTreeSet<TileId>>);

/// The tile that a node is computed from, and which of its hashes.
fn place(height: u32, index: u64) -> (TileId, std::ops::Range<usize>) {
    let (level, above) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
    let first = index << above;
    let offset = usize::try_from(first % TILE_WIDTH as u64).unwrap_or_default();
    let level = u8::try_from(level).unwrap_or(u8::MAX);
    (TileId { level, index: first / TILE_WIDTH as u64 }, offset..offset + (1 << above))
}

impl Nodes for Wanted {
    type Error = Infallible;

    fn node(&self, height: u32, index: u64) -> Result<Hash, Infallible> {
        self.0.borrow_mut().insert(place(height, index).0);
        Ok(Hash::of_nothing())
    }
}

impl Nodes for Tiles {
    type Error = SealError;

    fn node(&self, height: u32, index: u64) -> Result<Hash, SealError> {
        let (id, range) = place(height, index);
        let hashes = self.0.get(&id).and_then(|hashes| hashes.get(range)).ok_or(SealError::NoTile { id })?;
        Ok(perfect(&mut hashes.to_vec()))
    }
}
