//! Proofs of RFC 6962, section 2.1: that a leaf is in a tree, and that one tree is the beginning of another.

use thiserror::Error;

use crate::hash::{Hash, node_hash};

/// Hashes in a proof, at most: a tree of 2^64 leaves has no longer path, and a proof of consistency at most one more.
pub(crate) const PROOF_HASHES_MAX: usize = 65;

/// Where the roots of perfect subtrees come from.
pub trait Nodes {
    /// Why there is none.
    type Error;

    /// The root of the `index`th subtree of `2^height` leaves.
    fn node(&self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// It asks for what there cannot be.
    #[error("leaf {index} is not in a tree of {size}")]
    OutOfRange {
        /// The leaf, counted from 0.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// It is too short or too long.
    #[error("the proof has {found} hashes, which is not what it takes")]
    Length {
        /// How many it has.
        found: usize,
    },
    /// It leads to another root.
    #[error("the proof leads to the root {found}, not to {expected}")]
    Root {
        /// The root it should lead to.
        expected: Hash,
        /// The root it leads to.
        found: Hash,
    },
    /// The older tree is larger than the newer.
    #[error("a tree of {old} cannot be the beginning of one of {new}")]
    Backwards {
        /// Its size.
        old: u64,
        /// The other's.
        new: u64,
    },
}

/// The largest power of two below `size`, which is above 1.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// MTH(D[first:end]). `first` is where some subtree of the whole tree begins, so that its perfect subtrees are nodes.
pub fn range_root<N: Nodes>(nodes: &N, first: u64, end: u64) -> Result<Hash, N::Error> {
    let size = end - first;
    if size.is_power_of_two() {
        let height = size.trailing_zeros();
        return nodes.node(height, first >> height);
    }
    let middle = first + split(size);
    Ok(node_hash(&range_root(nodes, first, middle)?, &range_root(nodes, middle, end)?))
}

/// PATH(m, D[n]): the proof that leaf `index`, from 0, is in the tree of the first `size` leaves, nearest hash first.
/// `index` must be below `size`.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut first, mut end, mut path) = (0, size, Vec::new());
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, first, middle)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// PROOF(m, D[n]): that the tree of the first `old` leaves is the beginning of that of the first `new`. `old` must not be
/// above `new`; of nothing, and of equal trees, the proof is empty.
pub fn consistency_proof<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    let (mut first, mut end, mut known) = (0, new, true);
    while end != old {
        let middle = first + split(end - first);
        if old <= middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, first, middle)?);
            first = middle;
            known = false;
        }
    }
    // Whoever checks has the older root; where that is not the root of this subtree it must be said.
    if !known {
        path.push(range_root(nodes, first, end)?);
    }
    path.reverse();
    Ok(path)
}

/// The root to which a proof leads from a leaf (RFC 9162, section 2.1.3.2).
pub fn root_of_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash]) -> Result<Hash, ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { index, size });
    }
    let (mut at, mut last, mut root) = (index, size - 1, *leaf);
    for hash in proof {
        if last == 0 {
            return Err(ProofError::Length { found: proof.len() });
        }
        if at & 1 == 1 || at == last {
            root = node_hash(hash, &root);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(root) } else { Err(ProofError::Length { found: proof.len() }) }
}

/// Checks that the leaf with this hash is leaf `index`, from 0, of the tree of `size` leaves with this root.
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    let found = root_of_inclusion(index, size, leaf, proof)?;
    if found == *root { Ok(()) } else { Err(ProofError::Root { expected: *root, found }) }
}

/// Checks that the older tree is the beginning of the newer (RFC 9162, section 2.1.4.2).
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    let length = ProofError::Length { found: proof.len() };
    if old_size > new_size {
        return Err(ProofError::Backwards { old: old_size, new: new_size });
    }
    let same = |expected: &Hash, found: Hash| {
        if *expected == found { Ok(()) } else { Err(ProofError::Root { expected: *expected, found }) }
    };
    if old_size == 0 || old_size == new_size {
        if !proof.is_empty() {
            return Err(length);
        }
        return if old_size == 0 { same(old_root, Hash::of_nothing()) } else { same(new_root, *old_root) };
    }
    if proof.len() > PROOF_HASHES_MAX {
        return Err(length);
    }
    // The older root is the first hash where its size is a power of two.
    let mut hashes = old_size.is_power_of_two().then_some(old_root).into_iter().chain(proof);
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let first = hashes.next().ok_or(length)?;
    let (mut older, mut newer) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(length);
        }
        if at & 1 == 1 || at == last {
            older = node_hash(hash, &older);
            newer = node_hash(hash, &newer);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            newer = node_hash(&newer, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length);
    }
    same(old_root, older)?;
    same(new_root, newer)
}

#[cfg(test)]
mod tests;
