//! The stream of signed checkpoints.

use nats::{CHECKPOINTS_STREAM, CHECKPOINTS_SUBJECT, CheckpointScan, Checkpoints, CheckpointsError};

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

/// All that a reader is handed out.
async fn all(scan: &mut CheckpointScan) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while let Some(next) = scan.next().await.unwrap() {
        all.push(next);
    }
    all
}

#[tokio::test]
async fn a_reader_is_handed_out_those_that_were_there_and_told_what_is_missing() {
    let world = World::start().await;
    let reader = world.reader().await;
    assert!(CheckpointScan::open(reader.clone()).await.unwrap().is_none());
    let checkpoints = Checkpoints::new(world.client().await);
    checkpoints.last().await.unwrap();
    let mut empty = CheckpointScan::open(reader.clone()).await.unwrap().unwrap();
    assert_eq!((empty.last, all(&mut empty).await.len()), (0, 0));
    for number in 1..=50 {
        checkpoints.publish(number, &format!("note {number}\n")).await.unwrap();
    }
    let mut scan = CheckpointScan::open(reader.clone()).await.unwrap().unwrap();
    checkpoints.publish(51, "too late\n").await.unwrap();
    let expected: Vec<_> = (1..=50).map(|number| (number, format!("note {number}\n"))).collect();
    assert_eq!((scan.first, scan.last), (1, 50));
    assert_eq!(all(&mut scan).await, expected);

    // What the limit of the stream does, or somebody who may change it.
    let context = world.context().await;
    let mut stream = context.get_stream(CHECKPOINTS_STREAM).await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.max_messages = 3;
    context.update_stream(&config).await.unwrap();
    let mut scan = CheckpointScan::open(reader).await.unwrap().unwrap();
    assert_eq!((scan.first, scan.last), (49, 51));
    assert_eq!(all(&mut scan).await.len(), 3);
}
