//! Units of work over several aggregates, and the checkpoints they carry.

use aggregates::{Booking, Concert};
use journal::{AppendError, CheckpointMove, Position, checkpoint};
use uuid::Uuid;

use crate::support::{CANCEL, World, assert_gapless, hold, metadata, open, register, request};

fn step(from: u64, to: u64) -> CheckpointMove {
    CheckpointMove { name: "saga".into(), from: Position(from), to: Position(to) }
}

#[tokio::test]
async fn a_unit_appends_to_several_aggregates_and_moves_its_checkpoint_as_one() {
    let world = World::start().await;
    checkpoint(world.journal.pool(), "saga").await.unwrap();
    let (concert, booking) = (Uuid::now_v7(), Uuid::now_v7());
    let mut unit = world.journal.unit().await;
    unit.execute_new::<Concert>(concert, register(concert, 10), &metadata()).await.unwrap();
    unit.execute::<Concert>(concert, hold(concert), &metadata()).await.unwrap();
    unit.execute_new::<Booking>(booking, request(booking, 1), &metadata()).await.unwrap();
    assert_eq!(unit.state::<Concert>(concert).await.unwrap().counts().held, 1, "a unit sees its own events");
    assert_eq!(unit.events(), 3);
    let done = unit.enqueue(Some(step(0, 7))).await.unwrap().committed().await.unwrap();
    assert_eq!((done.first, done.last), (Position(1), Position(3)));
    assert_eq!(checkpoint(world.journal.pool(), "saga").await.unwrap(), Position(7));
    assert_gapless(&world.log().await);
}

#[tokio::test]
async fn a_checkpoint_that_was_moved_by_somebody_else_stops_the_whole_unit() {
    let world = World::start().await;
    checkpoint(world.journal.pool(), "saga").await.unwrap();
    let booking = Uuid::now_v7();
    let mut unit = world.journal.unit().await;
    unit.execute_new::<Booking>(booking, request(booking, 1), &metadata()).await.unwrap();
    let refused = unit.enqueue(Some(step(3, 4))).await.unwrap().committed().await;
    assert!(matches!(refused, Err(AppendError::CheckpointMoved)), "{refused:?}");
    assert_eq!(world.log().await.len(), 0);
    assert_eq!(world.journal.load::<Booking>(booking).await.unwrap().state.request(), None);
    // A checkpoint moves also where nothing follows, and two moves in a row are two statements.
    let first = world.journal.unit().await.enqueue(Some(step(0, 1))).await.unwrap();
    let second = world.journal.unit().await.enqueue(Some(step(1, 2))).await.unwrap();
    first.committed().await.unwrap();
    second.committed().await.unwrap();
    assert_eq!(checkpoint(world.journal.pool(), "saga").await.unwrap(), Position(2));
}

#[tokio::test]
async fn a_unit_that_is_dropped_leaves_no_trace() {
    let world = World::start().await;
    let booking = Uuid::now_v7();
    let mut unit = world.journal.unit().await;
    unit.execute_new::<Booking>(booking, request(booking, 1), &metadata()).await.unwrap();
    drop(unit);
    assert_eq!(world.journal.load::<Booking>(booking).await.unwrap().state.request(), None);
    world.journal.execute::<Booking>(booking, request(booking, 2), &metadata()).await.unwrap();
    world.journal.execute::<Booking>(booking, CANCEL, &metadata()).await.unwrap();
    assert_gapless(&world.log().await);
    assert_eq!(world.log().await.len(), 2);
}

#[tokio::test]
async fn many_aggregates_are_read_at_once_and_come_out_as_one_by_one() {
    let world = World::start().await;
    let bookings: Vec<Uuid> = (0..20).map(|_| Uuid::now_v7()).collect();
    for (n, &booking) in bookings.iter().enumerate() {
        world.journal.execute_new::<Booking>(booking, request(booking, 1), &metadata()).await.unwrap();
        if n % 2 == 0 {
            world.journal.execute::<Booking>(booking, CANCEL, &metadata()).await.unwrap();
        }
    }
    let unknown = Uuid::now_v7();
    let mut alone = Vec::new();
    for &booking in &bookings {
        alone.push(world.journal.load::<Booking>(booking).await.unwrap().state);
    }
    // A process that has none of them in memory, and one that has all of them.
    for journal in [open(&world.postgres.url()).await, world.journal.clone()] {
        let mut unit = journal.unit().await;
        let twice = [bookings.as_slice(), &[unknown], bookings.as_slice()].concat();
        unit.prepare::<Booking>(&twice).await.unwrap();
        for (&booking, alone) in bookings.iter().zip(&alone) {
            assert_eq!(unit.state::<Booking>(booking).await.unwrap(), alone);
        }
        assert_eq!(unit.state::<Booking>(unknown).await.unwrap().request(), None);
    }
}

#[tokio::test]
async fn a_unit_that_read_many_notices_what_another_process_appended_meanwhile() {
    let world = World::start().await;
    let booking = Uuid::now_v7();
    world.journal.execute_new::<Booking>(booking, request(booking, 1), &metadata()).await.unwrap();
    let other = open(&world.postgres.url()).await;
    let mut unit = other.unit().await;
    unit.prepare::<Booking>(&[booking]).await.unwrap();
    world.journal.execute::<Booking>(booking, CANCEL, &metadata()).await.unwrap();
    assert!(unit.execute::<Booking>(booking, CANCEL, &metadata()).await.unwrap());
    let conflict = unit.enqueue(None).await.unwrap().committed().await;
    assert!(conflict.as_ref().is_err_and(AppendError::is_stale), "{conflict:?}");
    let again = other.execute::<Booking>(booking, CANCEL, &metadata()).await.unwrap();
    assert!(!again.changed, "it is cancelled already");
}
