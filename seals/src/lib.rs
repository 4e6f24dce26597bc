//! Seals: the log as the leaves of a Merkle tree (RFC 6962), whose root is signed every few seconds.
//!
//! Whoever keeps one signed [`Checkpoint`] can show later that no event before it was changed, removed or put in, even by
//! somebody with every right on the database. The formats are public ones: tiles by C2SP tlog-tiles, checkpoints by C2SP
//! tlog-checkpoint; what a leaf is stands in docs/seals.md, byte by byte. Nothing here is on the way of an append: the
//! [`Sealer`] follows the log.

mod check;
mod error;
mod hash;
mod key_file;
mod keys;
mod leaf;
mod note;
mod proof;
mod publish;
mod reader;
mod receipt;
mod rows;
mod sealer;
mod tile;
mod tree;

pub use check::{BREACHES_MAX, Breach, SealCheck, SealVerdict};
pub use error::SealError;
pub use hash::{HASH_BYTES, Hash, leaf_hash, node_hash};
pub use key_file::{KEYS_MAX, KeyFile};
pub use keys::{SigningKey, VerifierKey};
pub use leaf::{ENTRY_BYTES_MAX, LEAF_VERSION, LeafHasher, Row};
pub use note::{Checkpoint, NoteError};
pub use proof::{
    Nodes, ProofError, consistency_proof, inclusion_proof, range_root, root_of_inclusion, verify_consistency,
    verify_inclusion,
};
pub use publish::{PublishError, Publisher};
pub use reader::{Log, Signed};
pub use receipt::{
    Proved, RECEIPT_WAIT_MAX, Receipt, ReceiptError, ReceiptEvent, ReceiptFault, VERSION as RECEIPT_VERSION,
    verify as verify_receipt,
};
pub use rows::{KnownKey, create as create_tables, known_keys};
pub use sealer::{
    CHECKPOINT, CHECKPOINT_INTERVAL, LEASE, SealHalt, SealState, SealStatus, Sealer, last_checkpoint_file,
};
pub use tile::{PathError, TILE_WIDTH, TileId, TilePath};
pub use tree::{Grown, Tree};
