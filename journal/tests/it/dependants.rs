//! A failed unit takes with it what was built on it, and nothing else.

use aggregates::{Booking, BookingStatus};
use journal::{AppendError, CheckpointMove, Position, checkpoint};
use uuid::Uuid;

use crate::support::{CANCEL, World, assert_gapless, metadata, request};

/// Appends a booking request as another process would, and opens the gate.
async fn another_process_is_first(gate: &mut sqlx::PgConnection, id: Uuid, tickets: u32) {
    sqlx::query(
        "WITH head AS (UPDATE journal_head SET position = position + 1, recorded_at = now() RETURNING *)
         INSERT INTO events SELECT 'booking', $1, 1, 'BookingRequested', '1.0', $2::json, '{}', position, recorded_at
         FROM head",
    )
    .bind(id.to_string())
    .bind(format!(
        r#"{{"BookingRequested":{{"bookingId":"{id}","concertId":"{nil}","userId":"{nil}","qty":{tickets}}}}}"#,
        nil = Uuid::nil()
    ))
    .execute(gate)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_failed_unit_takes_its_dependants_with_it_and_nothing_else() {
    let world = World::start().await;
    let mut gate = world.close_gate().await;
    let ids: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    // The writer stands at the gate with a first unit, so that the others are committed together behind it.
    let mut first = world.journal.unit().await;
    first.execute_new::<Booking>(ids[0], request(ids[0], 1), &metadata()).await.unwrap();
    let first = first.enqueue(None).await.unwrap();
    world.somebody_at_the_gate().await;

    let mut doomed = world.journal.unit().await;
    doomed.execute_new::<Booking>(ids[1], request(ids[1], 1), &metadata()).await.unwrap();
    let doomed = doomed.enqueue(None).await.unwrap();
    let mut dependant = world.journal.unit().await;
    dependant.execute::<Booking>(ids[1], CANCEL, &metadata()).await.unwrap();
    dependant.execute_new::<Booking>(ids[3], request(ids[3], 1), &metadata()).await.unwrap();
    let dependant = dependant.enqueue(None).await.unwrap();
    let mut dependant_of_dependant = world.journal.unit().await;
    dependant_of_dependant.execute::<Booking>(ids[3], CANCEL, &metadata()).await.unwrap();
    let dependant_of_dependant = dependant_of_dependant.enqueue(None).await.unwrap();
    let mut innocent = world.journal.unit().await;
    innocent.execute_new::<Booking>(ids[2], request(ids[2], 1), &metadata()).await.unwrap();
    let innocent = innocent.enqueue(None).await.unwrap();

    another_process_is_first(&mut gate.0, ids[1], 7).await;
    gate.open().await;

    assert_eq!(first.committed().await.unwrap().last, Position(2));
    assert!(matches!(doomed.committed().await, Err(AppendError::Conflict(_))));
    assert!(matches!(dependant.committed().await, Err(AppendError::Dependency)));
    assert!(matches!(dependant_of_dependant.committed().await, Err(AppendError::Dependency)));
    assert_eq!(innocent.committed().await.unwrap().last, Position(3));

    let log = world.log().await;
    assert_gapless(&log);
    assert_eq!(log.iter().map(|event| event.aggregate_id).collect::<Vec<_>>(), [ids[1], ids[0], ids[2]]);
    let theirs = world.journal.load::<Booking>(ids[1]).await.unwrap().state;
    assert_eq!(theirs.request().unwrap().qty.get(), 7, "the cache shows what is in the log");
    assert_eq!(world.journal.load::<Booking>(ids[3]).await.unwrap().state.request(), None);
}

#[tokio::test]
async fn a_unit_that_only_looked_at_a_state_that_fails_fails_with_it() {
    let world = World::start().await;
    checkpoint(world.journal.pool(), "saga").await.unwrap();
    let mut gate = world.close_gate().await;
    let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
    let mut first = world.journal.unit().await;
    first.execute_new::<Booking>(ids[0], request(ids[0], 1), &metadata()).await.unwrap();
    let first = first.enqueue(None).await.unwrap();
    world.somebody_at_the_gate().await;
    let mut doomed = world.journal.unit().await;
    doomed.execute_new::<Booking>(ids[1], request(ids[1], 1), &metadata()).await.unwrap();
    let doomed = doomed.enqueue(None).await.unwrap();

    // One decides something else on it, the other only that nothing follows; neither may move on without it.
    let mut decided = world.journal.unit().await;
    assert!(decided.state::<Booking>(ids[1]).await.unwrap().is_live());
    decided.execute_new::<Booking>(ids[2], request(ids[2], 1), &metadata()).await.unwrap();
    let decided = decided.enqueue(None).await.unwrap();
    let mut nothing_follows = world.journal.unit().await;
    assert!(nothing_follows.state::<Booking>(ids[1]).await.unwrap().is_live());
    let step = CheckpointMove { name: "saga".into(), from: Position(0), to: Position(1) };
    let nothing_follows = nothing_follows.enqueue(Some(step)).await.unwrap();

    another_process_is_first(&mut gate.0, ids[1], 7).await;
    gate.open().await;
    first.committed().await.unwrap();
    assert!(matches!(doomed.committed().await, Err(AppendError::Conflict(_))));
    assert!(matches!(decided.committed().await, Err(AppendError::Dependency)));
    assert!(matches!(nothing_follows.committed().await, Err(AppendError::Dependency)));
    assert_eq!(checkpoint(world.journal.pool(), "saga").await.unwrap(), Position(0));
    assert_eq!(world.log().await.len(), 2);
}

#[tokio::test]
async fn a_command_that_lost_the_race_is_decided_again_on_what_won() {
    let world = World::start().await;
    let mut gate = world.close_gate().await;
    let id = Uuid::now_v7();
    let ask = |tickets| {
        let journal = world.journal.clone();
        tokio::spawn(async move { journal.execute_new::<Booking>(id, request(id, tickets), &metadata()).await })
    };
    let loser = ask(1);
    world.somebody_at_the_gate().await;
    another_process_is_first(&mut gate.0, id, 7).await;
    gate.open().await;
    let refusal = loser.await.unwrap().unwrap_err();
    assert!(
        matches!(refusal, journal::ExecuteError::Refused(aggregates::BookingError::RequestedOtherwise)),
        "{refusal}"
    );
    let repeated = ask(7).await.unwrap().unwrap();
    assert!(!repeated.changed, "the same request as the one that won is no second one");
    assert_eq!(world.log().await.len(), 1);
}

#[tokio::test]
async fn what_is_not_durable_yet_is_not_acknowledged() {
    let world = World::start().await;
    let id = Uuid::now_v7();
    world.journal.execute_new::<Booking>(id, request(id, 1), &metadata()).await.unwrap();
    let gate = world.close_gate().await;
    let call = |command| {
        let journal = world.journal.clone();
        tokio::spawn(async move { journal.execute::<Booking>(id, command, &metadata()).await })
    };
    let first = call(CANCEL);
    world.somebody_at_the_gate().await;
    // The state says cancelled, but the log does not yet: neither a repetition nor a read may say so.
    let second = call(CANCEL);
    let read = tokio::spawn({
        let journal = world.journal.clone();
        async move { journal.load::<Booking>(id).await }
    });
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!first.is_finished() && !second.is_finished() && !read.is_finished());
    gate.open().await;
    assert!(first.await.unwrap().unwrap().changed);
    assert!(!second.await.unwrap().unwrap().changed);
    assert_eq!(read.await.unwrap().unwrap().state.status(), Some(BookingStatus::BookingCanceled));
    assert_eq!(world.log().await.len(), 2);
}
