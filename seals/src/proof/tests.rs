//! Against the roots of the definition, and against another implementation of the same standard.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::{
    hash::leaf_hash,
    tree::tests::{leaves, naive_root},
};

struct Leaves(Vec<Hash>);

impl Nodes for Leaves {
    type Error = Infallible;

    fn node(&self, height: u32, index: u64) -> Result<Hash, Infallible> {
        let (index, width) = (usize::try_from(index).unwrap_or_default(), 1_usize << height);
        Ok(naive_root(&self.0[index * width..(index + 1) * width]))
    }
}

fn theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect()
}

fn included(leaves: &[Hash], index: u64) -> Vec<Hash> {
    let Ok(proof) = inclusion_proof(&Leaves(leaves.to_vec()), index, leaves.len() as u64);
    proof
}

fn consistent(leaves: &[Hash], old: u64) -> Vec<Hash> {
    let Ok(proof) = consistency_proof(&Leaves(leaves.to_vec()), old, leaves.len() as u64);
    proof
}

#[test]
fn every_leaf_of_every_small_tree_is_proved_and_no_other_leaf_or_place() {
    for size in 1..=40_usize {
        let leaves = leaves(size);
        let (root, size) = (naive_root(&leaves), size as u64);
        for index in 0..size {
            let at = usize::try_from(index).unwrap_or_default();
            let proof = included(&leaves, index);
            assert_eq!(verify_inclusion(index, size, &leaves[at], &proof, &root), Ok(()), "{index} of {size}");
            let their = tlog_tiles::Hash(root.0);
            tlog_tiles::check_record(&theirs(&proof), size, their, index, tlog_tiles::Hash(leaves[at].0))
                .unwrap_or_else(|error| panic!("theirs does not take it: {error}, {index} of {size}"));
            for other in (0..size).filter(|other| *other != index) {
                let other_at = usize::try_from(other).unwrap_or_default();
                assert!(
                    verify_inclusion(other, size, &leaves[at], &proof, &root).is_err(),
                    "{index} as {other} of {size}"
                );
                assert!(verify_inclusion(index, size, &leaves[other_at], &proof, &root).is_err());
            }
            let longer = [proof.clone(), vec![root]].concat();
            assert!(verify_inclusion(index, size, &leaves[at], &longer, &root).is_err());
        }
        assert_eq!(verify_inclusion(size, size, &root, &[], &root), Err(ProofError::OutOfRange { index: size, size }));
    }
}

#[test]
fn every_small_tree_is_the_beginning_of_every_later_one() {
    let all = leaves(40);
    for new in 1..=40_usize {
        let root = naive_root(&all[..new]);
        for old in 0..=new {
            let (before, proof) = (naive_root(&all[..old]), consistent(&all[..new], old as u64));
            let verified = verify_consistency((old as u64, &before), (new as u64, &root), &proof);
            assert_eq!(verified, Ok(()), "{old} of {new}");
            if old > 0 {
                let (their, their_before) = (tlog_tiles::Hash(root.0), tlog_tiles::Hash(before.0));
                tlog_tiles::check_tree(&theirs(&proof), new as u64, their, old as u64, their_before)
                    .unwrap_or_else(|error| panic!("theirs does not take it: {error}, {old} of {new}"));
            }
            let mut forged = all[..new].to_vec();
            if let Some(first) = forged.first_mut().filter(|_| old > 0) {
                *first = leaf_hash(b"forged");
                let (rewritten, proof) = (naive_root(&forged), consistent(&forged, old as u64));
                let verified = verify_consistency((old as u64, &before), (new as u64, &rewritten), &proof);
                assert!(verified.is_err(), "a rewritten tree of {new} goes on from one of {old}");
            }
        }
    }
    assert!(verify_consistency((2, &all[0]), (1, &all[0]), &[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_large_trees_too(size in 1_usize..2_000, index in any::<prop::sample::Index>(), spoiled in any::<prop::sample::Index>()) {
        let leaves = leaves(size);
        let (root, at) = (naive_root(&leaves), index.index(size));
        let proof = included(&leaves, at as u64);
        prop_assert_eq!(verify_inclusion(at as u64, size as u64, &leaves[at], &proof, &root), Ok(()));
        let before = naive_root(&leaves[..=at]);
        let consistency = consistent(&leaves, at as u64 + 1);
        let (old, new) = ((at as u64 + 1, &before), (size as u64, &root));
        prop_assert_eq!(verify_consistency(old, new, &consistency), Ok(()));
        for proof in [proof, consistency] {
            if proof.is_empty() {
                continue;
            }
            let mut spoilt = proof.clone();
            spoilt[spoiled.index(proof.len())].0[7] ^= 1;
            prop_assert!(verify_inclusion(at as u64, size as u64, &leaves[at], &spoilt, &root).is_err());
            prop_assert!(verify_consistency(old, new, &spoilt).is_err());
        }
    }
}
