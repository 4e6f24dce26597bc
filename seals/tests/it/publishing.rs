//! What is signed is published, late where it must be; what contradicts it stops that.

use std::sync::Arc;

use futures::future::BoxFuture;
use journal::Position;
use parking_lot::Mutex;
use seals::{PublishError, Publisher, SealState};
use stack::testing::eventually;

use crate::support::{Running, SOON, World};

/// A stream that can be away.
#[derive(Default)]
struct Stream {
    away: Mutex<bool>,
    messages: Mutex<Vec<String>>,
}

impl Stream {
    fn reachable(&self) -> Result<(), PublishError> {
        if *self.away.lock() { Err(PublishError("away".to_owned())) } else { Ok(()) }
    }
}

impl Publisher for Stream {
    fn last(&self) -> BoxFuture<'_, Result<Option<(u64, String)>, PublishError>> {
        Box::pin(async {
            self.reachable()?;
            let messages = self.messages.lock();
            Ok(messages.last().map(|last| (messages.len() as u64, last.clone())))
        })
    }

    fn publish<'a>(&'a self, number: u64, note: &'a str) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            self.reachable()?;
            let mut messages = self.messages.lock();
            assert_eq!(number, messages.len() as u64 + 1, "a hole, or one twice");
            messages.push(note.to_owned());
            Ok(())
        })
    }
}

async fn publishing(world: &World, stream: &Arc<Stream>) -> Running {
    Running::of(world.sealer().await.publishing(Arc::clone(stream) as Arc<dyn Publisher>))
}

async fn all_published(running: &Running, stream: &Stream) {
    eventually("all checkpoints to be published", SOON, || async {
        let signed = running.log.checkpoints_after(0, u16::MAX).await.unwrap();
        *stream.messages.lock() == signed.into_iter().map(|signed| signed.note).collect::<Vec<_>>()
    })
    .await;
}

#[tokio::test]
async fn while_the_stream_is_away_sealing_goes_on_and_what_it_missed_comes_later() {
    let (world, stream) = (World::start().await, Arc::new(Stream::default()));
    let running = publishing(&world, &stream).await;
    world.append(10).await;
    running.sealed(Position(10)).await;
    all_published(&running, &stream).await;

    *stream.away.lock() = true;
    for events in [20, 30, 40] {
        world.append(10).await;
        running.sealed(Position(events)).await;
    }
    running.stop().await;
    let running = publishing(&world, &stream).await;
    world.append(10).await;
    running.sealed(Position(50)).await;
    *stream.away.lock() = false;
    all_published(&running, &stream).await;
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_added_to_checkpoints_that_are_not_ours_and_somebody_is_told() {
    let (world, stream) = (World::start().await, Arc::new(Stream::default()));
    stream.messages.lock().push("something else\n".to_owned());
    let mut running = publishing(&world, &stream).await;
    for events in [10, 20] {
        world.append(10).await;
        running.sealed(Position(events)).await;
    }
    let why = running.unpublished().await;
    assert!(why.starts_with("checkpoint 1 was published") && why.contains("docs/seals.md"), "{why}");
    assert_eq!(running.status.borrow().state, SealState::Sealing);
    assert_eq!(*stream.messages.lock(), ["something else\n"]);
    running.stop().await;

    // More than the database knows of, as after a backup.
    stream.messages.lock().clear();
    let running = publishing(&world, &stream).await;
    all_published(&running, &stream).await;
    running.stop().await;
    stream.messages.lock().push("from the future\n".to_owned());
    let mut running = publishing(&world, &stream).await;
    assert!(running.unpublished().await.contains("and the database has none"));
    running.stop().await;

    // Somebody has put it aside.
    stream.messages.lock().clear();
    let running = publishing(&world, &stream).await;
    world.append(10).await;
    running.sealed(Position(30)).await;
    all_published(&running, &stream).await;
    assert_eq!(running.status.borrow().unpublished, None);
    running.stop().await;
}
