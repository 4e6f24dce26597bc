//! Anybody can compute the sealed tree from an export, by what docs/seals.md says of a leaf.

use audit::{Format, Snapshot, export};
use chrono::DateTime;
use seals::{Checkpoint, LEAF_VERSION, Tree, leaf_hash};
use serde_json::Value;

use crate::world::World;

/// Events of this log.
const EVENTS: usize = 1_500;

/// A leaf, of the fields of a line.
fn leaf(line: &Value) -> Vec<u8> {
    let mut leaf = vec![LEAF_VERSION];
    let text = |leaf: &mut Vec<u8>, name: &str| {
        let text = line[name].as_str().unwrap();
        leaf.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        leaf.extend(text.as_bytes());
    };
    leaf.extend(line["position"].as_u64().unwrap().to_be_bytes());
    let recorded_at = DateTime::parse_from_rfc3339(line["recordedAt"].as_str().unwrap()).unwrap();
    leaf.extend(recorded_at.timestamp_micros().to_be_bytes());
    text(&mut leaf, "aggregateType");
    text(&mut leaf, "aggregateId");
    leaf.extend(line["sequence"].as_u64().unwrap().to_be_bytes());
    for name in ["eventType", "eventVersion", "payload", "metadata"] {
        text(&mut leaf, name);
    }
    leaf
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_that_was_signed_is_that_of_an_export() {
    let world = World::start().await;
    world.sell(EVENTS).await;
    let signed = Checkpoint::read_unverified(&world.seal().await).unwrap();
    let mut snapshot = Snapshot::take(&world.subject().database).await.unwrap();
    let mut lines = Vec::new();
    let count = export(&mut snapshot, None, None, Format::JsonLines, &mut lines).await.unwrap();
    assert_eq!((count, signed.size), (world.journal.position().0, count));
    let mut tree = Tree::default();
    for line in std::str::from_utf8(&lines).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        tree.push(leaf_hash(&leaf(&line)), |_, _| ());
    }
    assert_eq!((tree.size(), tree.root()), (signed.size, signed.root));
}
