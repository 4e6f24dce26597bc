//! Concerts as they are read.

use std::{sync::Arc, time::Duration};

use aggregates::{Concert, ConcertCommand};
use journal::Position;
use projections::{ConcertViews, Projection, TicketCounts};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{DEADLINE, Running, World, catch_up, concert, runner, user};

struct Reading {
    views: ConcertViews,
    running: Running,
    stop: CancellationToken,
    keeping_up: JoinHandle<()>,
}

impl Reading {
    /// A projector and, in the same process or as if in another, the views.
    async fn start(world: &World, same_process: bool, kept_max: usize) -> Self {
        let pool = world.journal.pool().clone();
        let projection = TicketCounts::open(pool.clone()).await.unwrap();
        let progress = projection.progress().clone();
        let source = Box::new(world.journal.follow(Position(0)));
        let running = Running::start(runner(projection, source, pool.clone()));
        let (views, stop) = (ConcertViews::open_with(pool, kept_max).await.unwrap(), CancellationToken::new());
        let keeping_up = tokio::spawn(views.clone().run(same_process.then_some(progress), stop.clone()));
        Self { views, running, stop, keeping_up }
    }

    async fn end(self) {
        self.running.stop().await;
        self.stop.cancel();
        self.keeping_up.await.unwrap();
    }
}

async fn change_capacity(world: &World, n: u128, capacity: u32) -> Position {
    world.one::<Concert>(concert(n).0, ConcertCommand::ChangeCapacity { capacity }).await
}

#[tokio::test]
async fn who_waits_for_a_position_reads_what_was_written() {
    for same_process in [true, false] {
        let world = World::new(59).await;
        let reading = Reading::start(&world, same_process, 100).await;
        let views = &reading.views;
        for n in 0..20 {
            assert!(views.get(concert(n)).await.unwrap().is_none());
            let position = world.register(n, 10).await;
            assert!(views.wait_for(position, DEADLINE).await);
            assert_eq!(views.get(concert(n)).await.unwrap().unwrap().position, position);
            let position = change_capacity(&world, n, 11).await;
            assert!(views.wait_for(position, DEADLINE).await);
            assert_eq!(views.get(concert(n)).await.unwrap().unwrap().counts.capacity, 11);
        }
        let ahead = Position(views.position().0 + 1);
        assert!(!views.wait_for(ahead, Duration::from_millis(20)).await, "nobody has written that yet");
        reading.end().await;
    }
}

#[tokio::test]
async fn the_list_is_newest_first_and_reaches_what_memory_does_not_hold() {
    let world = World::new(61).await;
    for n in 0..10 {
        world.register(n, 10).await;
    }
    catch_up(&world.journal, TicketCounts::open(world.journal.pool().clone()).await.unwrap()).await;
    let reading = Reading::start(&world, true, 4).await;
    let views = &reading.views;
    // Found at the start, and pushed out by what comes later.
    let mut position = Position(0);
    for n in 10..12 {
        position = world.register(n, 10).await;
    }
    // A change of one that memory does not hold does not bring it back, and is read all the same.
    let changed = change_capacity(&world, 2, 77).await.max(position);
    assert!(views.wait_for(changed, DEADLINE).await);
    for page in [1, 3, 5, 100] {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let views = views.list(page, before).await.unwrap();
            assert!(views.len() <= page);
            let Some(last) = views.last() else { break };
            before = Some(last.registered_position);
            listed.extend(views.iter().map(|view| view.id));
        }
        let newest_first: Vec<_> = (0..12).rev().map(concert).collect();
        assert_eq!(listed, newest_first, "by pages of {page}");
    }
    for n in 0..12 {
        let view = views.get(concert(n)).await.unwrap().unwrap();
        assert_eq!((view.id, view.counts.capacity), (concert(n), if n == 2 { 77 } else { 10 }));
    }
    assert!(views.get(concert(99)).await.unwrap().is_none());
    reading.end().await;
}

#[tokio::test]
async fn a_watcher_sees_the_counts_change_and_the_last_of_them_for_certain() {
    let mut world = World::new(67).await;
    world.register(0, 10).await;
    let reading = Reading::start(&world, true, 100).await;
    assert!(reading.views.wait_for(world.journal.position(), DEADLINE).await);
    assert!(reading.views.watch(concert(1)).await.unwrap().is_none());
    let mut watching = reading.views.watch(concert(0)).await.unwrap().unwrap();
    let mut second = reading.views.watch(concert(0)).await.unwrap().unwrap();
    assert_eq!(watching.borrow_and_update().counts.held, 0);
    for n in 0..5 {
        let before = watching.borrow().position;
        world.request(n, 0, n, 2).await;
        world.saga().await;
        tokio::time::timeout(DEADLINE, watching.changed()).await.expect("a change").unwrap();
        assert!(watching.borrow_and_update().position > before);
    }
    let all_held = |view: &Arc<projections::ConcertView>| view.counts.held == 10;
    tokio::time::timeout(DEADLINE, second.wait_for(all_held)).await.expect("the last change").unwrap();
    reading.end().await;
}

#[tokio::test]
async fn a_concert_reads_as_the_contract_says() {
    let world = World::new(71).await;
    let position = world.register(0, 10).await;
    let reading = Reading::start(&world, true, 100).await;
    assert!(reading.views.wait_for(position, DEADLINE).await);
    let view = reading.views.get(concert(0)).await.unwrap().unwrap();
    let expected = json!({
        "id": concert(0), "organizerId": user(999), "name": "Autumn 0", "venue": "Hall", "startsAt": null,
        "price": {"amount": 110_000, "currency": "KRW"}, "maxPerBooking": null, "holdSeconds": 600,
        "canceled": false, "tickets": {"capacity": 10, "held": 0, "sold": 0, "available": 10},
        "registeredPosition": position, "position": position,
    });
    assert_eq!(serde_json::to_value(&*view).unwrap(), expected);
    reading.end().await;
}
