//! The connection dies in the commit: was it committed or not? The journal looks for its own rows.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use aggregates::Booking;
use journal::{Journal, JournalOptions, Position};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::Notify,
    task::JoinSet,
};
use uuid::Uuid;

use crate::support::{World, assert_gapless, metadata, options, request};

/// What the wire between journal and Postgres does to an append.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Wire {
    /// Everything passes.
    Whole = 0,
    /// The append never reaches Postgres: the connection dies first.
    LosesQuestion = 1,
    /// The append is committed, and its answer never comes: the connection dies first.
    LosesAnswer = 2,
}

/// A wire to Postgres that can be made to lose one append or its answer.
struct Proxy {
    address: SocketAddr,
    wire: Arc<AtomicU8>,
    /// Rung when an answer was withheld, that is, when the commit is certain.
    lost: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, wire, lost) =
            (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(0)), Arc::new(Notify::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (wire, lost) = (Arc::clone(&wire), Arc::clone(&lost));
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let (wire, lost) = (Arc::clone(&wire), Arc::clone(&lost));
                    connections.spawn(async move {
                        let Ok(server) = TcpStream::connect(target).await else { return };
                        carry(client, server, &wire, &lost).await;
                    });
                }
            }
        });
        Self { address, wire, lost, _tasks: tasks }
    }

    fn set(&self, wire: Wire) {
        self.wire.store(wire as u8, Ordering::SeqCst);
    }
}

async fn carry(client: TcpStream, server: TcpStream, wire: &AtomicU8, lost: &Notify) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let appending = AtomicU8::new(0);
    tokio::select! {
        () = questions(from_client, to_server, wire, &appending) => {}
        () = answers(from_server, to_client, wire, &appending, lost) => {}
    }
}

/// Only an append carries the unit's own name; other traffic always passes.
async fn questions(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, wire: &AtomicU8, appending: &AtomicU8) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let is_append = buffer[..count].windows(16).any(|window| window == b"BookingRequested");
        let losing = wire.load(Ordering::SeqCst);
        if is_append && losing == Wire::LosesQuestion as u8 {
            wire.store(Wire::Whole as u8, Ordering::SeqCst);
            return;
        }
        if is_append && losing == Wire::LosesAnswer as u8 {
            appending.store(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    wire: &AtomicU8,
    appending: &AtomicU8,
    lost: &Notify,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if appending.load(Ordering::SeqCst) == 1 {
            // One statement is one transaction: an answer to it means that it is committed.
            wire.store(Wire::Whole as u8, Ordering::SeqCst);
            lost.notify_one();
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn journal_behind(proxy: &Proxy, world: &World) -> Journal {
    let options = options(&world.postgres.url()).host("127.0.0.1").port(proxy.address.port());
    Journal::open(options, JournalOptions::default()).await.unwrap()
}

async fn proxy_to(world: &World) -> Proxy {
    Proxy::to(SocketAddr::from(([127, 0, 0, 1], world.postgres.port()))).await
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_by_its_own_rows() {
    let world = World::start().await;
    let proxy = proxy_to(&world).await;
    let journal = journal_behind(&proxy, &world).await;
    let first = Uuid::now_v7();
    journal.execute_new::<Booking>(first, request(first, 1), &metadata()).await.unwrap();
    proxy.set(Wire::LosesAnswer);
    let id = Uuid::now_v7();
    let done = journal.execute_new::<Booking>(id, request(id, 1), &metadata()).await.unwrap();
    proxy.lost.notified().await;
    assert_eq!(done.position, Position(2));
    let log = world.log().await;
    assert_eq!(log.iter().filter(|event| event.aggregate_id == id).count(), 1, "written once");
    journal.execute::<Booking>(id, crate::support::CANCEL, &metadata()).await.unwrap();
    assert_gapless(&world.log().await);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_sent_again() {
    let world = World::start().await;
    let proxy = proxy_to(&world).await;
    let journal = journal_behind(&proxy, &world).await;
    proxy.set(Wire::LosesQuestion);
    let id = Uuid::now_v7();
    let done = journal.execute_new::<Booking>(id, request(id, 1), &metadata()).await.unwrap();
    assert_eq!(done.position, Position(1));
    assert_eq!(proxy.wire.load(Ordering::SeqCst), Wire::Whole as u8, "the question was lost once");
    assert_gapless(&world.log().await);
}
