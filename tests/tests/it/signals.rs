//! Ctrl-C, twice as well, and being asked to terminate: it ends, and nothing of it stays.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{self, SIGINT, SIGTERM};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Boxoffice, Live, SOON, eventually};

/// How long "at once" may take on a busy machine; an orderly end with an unfinished request takes longer.
const AT_ONCE_MAX: Duration = Duration::from_secs(8);

/// Sends the signals, one after the other, to a system that is being used, which must end and be whole when started again.
async fn ends_by(signals: &[Signal]) {
    let mut system = Boxoffice::start().await;
    let concert = system.organizer().await.register_concert(10).await;
    let fan = system.fan().await;
    let booking = fan.book(&concert, 1).await.ok(201).text_at("/bookingId");
    // Whoever looks on does not keep it from ending.
    let mut live = Live::open(&fan, &concert).await;
    live.until([10, 1, 0, 9]).await;

    for signal in signals {
        system.interrupt(*signal);
    }
    let status = system.ended().await;
    assert!(status.code().is_some(), "it ended by a signal instead of by itself: {status}");
    eventually("nothing of it to run", SOON, || async { system.processes().is_empty() }).await;
    while live.next().await.is_some() {}

    system.start_again().await;
    let fan = fan.reconnected();
    assert_eq!(fan.get(&format!("/bookings/{booking}")).await.ok(200).text_at("/status"), "BookingRequested");
    fan.tickets_become(&concert, [10, 1, 0, 9]).await;
    fan.book(&concert, 1).await.ok(201);
}

#[tokio::test]
async fn ctrl_c_ends_all_of_it() {
    ends_by(&[SIGINT]).await;
}

#[tokio::test]
async fn a_second_ctrl_c_ends_it_at_once_and_leaves_no_orphans() {
    let mut system = Boxoffice::start().await;
    // A request whose body never comes keeps an orderly end waiting.
    let mut unfinished = TcpStream::connect(("127.0.0.1", system.port())).await.unwrap();
    let head =
        "POST /users HTTP/1.1\r\nHost: boxoffice\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    unfinished.write_all(head.as_bytes()).await.unwrap();
    system.interrupt(SIGINT);
    eventually("it to take no more connections", SOON, async || {
        TcpStream::connect(("127.0.0.1", system.port())).await.is_err()
    })
    .await;
    let second = Instant::now();
    system.interrupt(SIGINT);
    let status = system.ended().await;
    assert!(second.elapsed() < AT_ONCE_MAX, "it took {:?}", second.elapsed());
    assert!(status.code().is_some(), "it ended by a signal instead of by itself: {status}");
    eventually("nothing of it to run", SOON, || async { system.processes().is_empty() }).await;
    system.start_again().await;
    system.anonymous().get("/readyz").await.ok(200);
}

#[tokio::test]
async fn an_unfinished_request_does_not_hold_up_the_end_for_ever() {
    let mut system = Boxoffice::start().await;
    let mut unfinished = TcpStream::connect(("127.0.0.1", system.port())).await.unwrap();
    unfinished.write_all(b"POST /users HTTP/1.1\r\nHost: boxoffice\r\n").await.unwrap();
    system.interrupt(SIGTERM);
    let status = system.ended().await;
    assert!(status.code().is_some(), "it ended by a signal instead of by itself: {status}");
    eventually("nothing of it to run", SOON, || async { system.processes().is_empty() }).await;
}

#[tokio::test]
async fn being_asked_to_terminate_ends_all_of_it() {
    ends_by(&[SIGTERM]).await;
}
