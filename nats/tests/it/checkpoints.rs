//! The stream of signed checkpoints.

use nats::{CHECKPOINTS_STREAM, CHECKPOINTS_SUBJECT, Checkpoints, CheckpointsError};

use crate::support::World;

#[tokio::test]
async fn number_n_is_message_n_or_is_not_taken() {
    let world = World::start().await;
    let checkpoints = Checkpoints::new(world.client().await);
    assert_eq!(checkpoints.last().await.unwrap(), None);
    for number in 1..=3 {
        checkpoints.publish(number, &format!("note {number}\n")).await.unwrap();
    }
    assert_eq!(checkpoints.last().await.unwrap(), Some((3, "note 3\n".to_owned())));
    for number in [1, 3, 5] {
        let refused = checkpoints.publish(number, "another\n").await.unwrap_err();
        assert!(matches!(refused, CheckpointsError::Publish { .. }), "{refused}");
    }
    // Another that begins now finds what is there.
    let again = Checkpoints::new(world.client().await);
    assert_eq!(again.last().await.unwrap(), Some((3, "note 3\n".to_owned())));
    let config = world.context().await.get_stream(CHECKPOINTS_STREAM).await.unwrap().cached_info().config.clone();
    assert!(config.deny_delete && config.deny_purge && config.subjects == [CHECKPOINTS_SUBJECT]);
}

#[tokio::test]
async fn a_reader_reads_them_and_writes_none() {
    let world = World::start().await;
    let checkpoints = Checkpoints::new(world.client().await);
    checkpoints.last().await.unwrap();
    checkpoints.publish(1, "note 1\n").await.unwrap();
    let reader = async_nats::jetstream::new(world.reader().await);
    let stream = reader.get_stream(CHECKPOINTS_STREAM).await.unwrap();
    assert_eq!(stream.get_raw_message(1).await.unwrap().payload, "note 1\n");
    let foreign = Checkpoints::new(world.reader().await);
    assert!(foreign.publish(2, "forged\n").await.is_err());
    assert_eq!(checkpoints.last().await.unwrap().map(|(number, _)| number), Some(1));
}
