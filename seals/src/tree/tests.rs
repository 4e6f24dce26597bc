//! Against the definition of RFC 6962, written down as it stands there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::hash::leaf_hash;

/// MTH of RFC 6962, section 2.1.
pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_nothing(),
        [leaf] => *leaf,
        leaves => {
            let split = 1 << (leaves.len() - 1).ilog2();
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

/// Leaves that differ from each other.
pub(crate) fn leaves(count: usize) -> Vec<Hash> {
    (0..count as u64).map(|nth| leaf_hash(&nth.to_be_bytes())).collect()
}

/// The tree of these, and all its tiles.
pub(crate) fn grown(leaves: &[Hash]) -> (Tree, BTreeMap<TileId, Vec<Hash>>) {
    let (mut tree, mut grown) = (Tree::default(), Grown::default());
    for leaf in leaves {
        grown.push(&mut tree, *leaf);
    }
    let mut tiles: BTreeMap<_, _> = grown.0.into_iter().collect();
    tiles.extend(tree.edge().map(|(id, hashes)| (id, hashes.to_vec())));
    (tree, tiles)
}

#[test]
fn at_every_size_the_root_is_that_of_the_definition() {
    let leaves = leaves(1_100);
    let mut tree = Tree::default();
    assert_eq!(tree.root(), naive_root(&[]));
    for (nth, leaf) in leaves.iter().enumerate() {
        tree.push(*leaf, |_, _| ());
        assert_eq!(tree.root(), naive_root(&leaves[..=nth]), "{} leaves", nth + 1);
    }
}

#[test]
fn a_tree_of_three_levels_has_the_tiles_of_the_standard_s_example() {
    let leaves = leaves(70_000);
    let (tree, tiles) = grown(&leaves);
    assert_eq!(tree.root(), naive_root(&leaves));
    let of =
        |level| tiles.iter().filter(|(id, _)| id.level == level).map(|(_, hashes)| hashes.len()).collect::<Vec<_>>();
    assert_eq!(of(0), [vec![256; 273], vec![112]].concat());
    assert_eq!(of(1), [256, 17]);
    assert_eq!(of(2), [1]);
    for (id, hashes) in &tiles {
        let span = TILE_WIDTH.pow(u32::from(id.level));
        for (nth, hash) in hashes.iter().enumerate() {
            let first = (usize::try_from(id.index).unwrap_or_default() * TILE_WIDTH + nth) * span;
            assert_eq!(*hash, naive_root(&leaves[first..first + span]), "{id:?} {nth}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn put_down_and_taken_up_again_it_grows_as_if_it_never_had_been(first in 0_usize..1_500, more in 0_usize..700) {
        let leaves = leaves(first + more);
        let (before, tiles) = grown(&leaves[..first]);
        let restored = Tree::restore(before.size(), |id, _| tiles.get(&id).cloned());
        prop_assert_eq!(restored.as_ref(), Some(&before));
        let mut tree = before;
        for leaf in &leaves[first..] {
            tree.push(*leaf, |_, _| ());
        }
        prop_assert_eq!(tree.root(), naive_root(&leaves));
        prop_assert_eq!(tree, grown(&leaves).0);
    }

    #[test]
    fn an_older_tree_is_in_the_tiles_of_every_later_one(size in 1_usize..1_500, later in 0_usize..700) {
        let leaves = leaves(size + later);
        let (_, tiles) = grown(&leaves);
        let older = Tree::restore(size as u64, |id, _| tiles.get(&id).cloned());
        prop_assert_eq!(older.map(|tree| tree.root()), Some(naive_root(&leaves[..size])));
        prop_assert_eq!(Tree::restore(size as u64, |id, width| tiles.get(&id).map(|all| all[..width - 1].to_vec())), None);
    }
}
