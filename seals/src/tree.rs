//! The tree as it grows: only its right edge is in memory, whatever its size.

use crate::{
    hash::{Hash, node_hash},
    tile::{TILE_HEIGHT, TILE_WIDTH, TileId},
};

/// A Merkle tree of RFC 6962 that grows leaf by leaf, as the partial tiles of its right edge.
///
/// Tile `n` of level `l` holds the hashes of the subtrees of `256^l` leaves from the `256 n`th on. Of each level the tree
/// keeps the tile that is not full; a tile that becomes full is given away, and its root goes up one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// By level; each with less than [`TILE_WIDTH`] hashes.
    edge: Vec<Vec<Hash>>,
}

/// Tiles that have become full or wider since they were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grown(pub Vec<(TileId, Vec<Hash>)>);

impl Tree {
    /// The tree of `size` leaves, whose edge `tile` gives: the hashes of a tile that are there, at least as many as asked for.
    /// `None` where it lacks some.
    pub fn restore(size: u64, mut tile: impl FnMut(TileId, usize) -> Option<Vec<Hash>>) -> Option<Self> {
        let mut edge = Vec::new();
        for (id, width) in Self::edge_of(size) {
            let mut hashes = if width == 0 { Vec::new() } else { tile(id, width)? };
            if hashes.len() < width {
                return None;
            }
            hashes.truncate(width);
            edge.push(hashes);
        }
        Some(Self { size, edge })
    }

    /// The tiles on the right edge of a tree of `size` leaves, level by level, with how many hashes each has: 0 to 255.
    pub fn edge_of(size: u64) -> impl Iterator<Item = (TileId, usize)> {
        let levels = (0_u8..8).take_while(move |level| size >> (TILE_HEIGHT * u32::from(*level)) > 0);
        levels.map(move |level| {
            let hashes = size >> (TILE_HEIGHT * u32::from(level));
            let width = usize::try_from(hashes % TILE_WIDTH as u64).unwrap_or_default();
            (TileId { level, index: hashes / TILE_WIDTH as u64 }, width)
        })
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and tells `full` of each tile that is full by it.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(TileId, Vec<Hash>)) {
        let mut hash = leaf;
        for level in 0_u8.. {
            if self.edge.len() <= usize::from(level) {
                self.edge.push(Vec::with_capacity(TILE_WIDTH));
            }
            let tile = &mut self.edge[usize::from(level)];
            tile.push(hash);
            if tile.len() < TILE_WIDTH {
                break;
            }
            let tile = std::mem::replace(tile, Vec::with_capacity(TILE_WIDTH));
            hash = perfect(&mut tile.clone());
            full(TileId { level, index: self.size >> (TILE_HEIGHT * (u32::from(level) + 1)) }, tile);
        }
        self.size += 1;
    }

    /// The tiles of the edge as they are now, those that have any hash.
    pub fn edge(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        Self::edge_of(self.size)
            .zip(&self.edge)
            .filter_map(|((id, width), hashes)| (width > 0).then_some((id, hashes.as_slice())))
    }

    /// The root. 255 hashes a level at most are computed for it.
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for tile in &self.edge {
            // From the right: the subtrees of a tile of width w are the powers of two of w, the largest first.
            let (mut end, mut rest) = (tile.len(), tile.len());
            while rest > 0 {
                let width = 1 << rest.trailing_zeros();
                let subtree = perfect(&mut tile[end - width..end].to_vec());
                root = Some(root.map_or(subtree, |right| node_hash(&subtree, &right)));
                end -= width;
                rest -= width;
            }
        }
        root.unwrap_or_else(Hash::of_nothing)
    }
}

/// The root of a perfect tree: of a power of two of hashes, which are spoiled by it.
pub(crate) fn perfect(hashes: &mut [Hash]) -> Hash {
    let mut width = hashes.len();
    while width > 1 {
        width /= 2;
        for nth in 0..width {
            hashes[nth] = node_hash(&hashes[2 * nth], &hashes[2 * nth + 1]);
        }
    }
    hashes[0]
}

impl Grown {
    /// Adds a leaf to `tree` and keeps what is full by it.
    pub fn push(&mut self, tree: &mut Tree, leaf: Hash) {
        tree.push(leaf, |id, hashes| self.0.push((id, hashes)));
    }
}

#[cfg(test)]
pub(crate) mod tests;
